//! `turted conformance` as a child, and scripts of what a client and a service say to each other.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Http, WebSocket, frame};

/// The services in a process of their own, until the end of the test.
pub(crate) struct Services {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    /// Where the suite for SockJS looks.
    pub(crate) sockjs: SocketAddr,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
    command.arg("conformance").args(arguments).env_clear().current_dir(std::env::temp_dir());
    command
}

impl Services {
    pub(crate) fn start() -> Self {
        let arguments = ["--listen", "127.0.0.1:0", "--sockjs-listen", "127.0.0.1:0"];
        let mut process = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut addresses = line.split("http://").skip(1).map(|rest| {
            let address = rest.split_whitespace().next().unwrap();
            address.parse().unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        let (address, sockjs) = (addresses.next().unwrap(), addresses.next().unwrap());
        Self { process, address, sockjs }
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address)
    }

    pub(crate) fn websocket(&self, target: &str) -> WebSocket {
        WebSocket::connect(self.address, target, &[]).unwrap()
    }

    /// Opens a polling session: its target.
    pub(crate) fn polling(&self, target: &str) -> String {
        let handshake = self.http().get(target);
        assert_eq!(handshake.status, 200, "{target}");
        // Inside a script the quotes are escaped.
        let unescaped = handshake.text().replace('\\', "");
        let sid = unescaped.split_once(r#""sid":""#).unwrap().1;
        format!("{target}&sid={}", sid.split_once('"').unwrap().0)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let status = self.process.wait().unwrap();
        assert!(std::thread::panicking() || status.success(), "{status}");
    }
}

/// What a client and a service say to each other.
pub(crate) enum Line {
    Says(&'static str),
    SaysBytes(&'static [u8]),
    Hears(&'static str),
    HearsBytes(&'static [u8]),
    /// Hears that it is connected to a namespace, with an id and nothing else.
    IsConnected(&'static str),
    IsClosed,
}
use self::Line::{Hears, HearsBytes, IsClosed, IsConnected, Says, SaysBytes};

/// The next frame that is no heartbeat of version 4; `None` at the end.
pub(crate) fn next(socket: &mut WebSocket) -> Option<(u8, Vec<u8>)> {
    loop {
        let frame = socket.read()?;
        match (frame.opcode, frame.payload.as_slice()) {
            (1, b"2") => {}
            (8, _) => return None,
            _ => return Some((frame.opcode, frame.payload)),
        }
    }
}

/// Plays a script on a WebSocket, behind the handshake of Engine.IO.
pub(crate) fn play(services: &Services, target: &str, script: &[Line]) {
    let mut socket = services.websocket(target);
    let handshake = socket.text().unwrap();
    assert!(handshake.starts_with('0'), "{handshake}");
    assert!(handshake.contains(r#""upgrades":[]"#), "{handshake}");
    for line in script {
        match line {
            Says(text) => socket.send_text(text),
            SaysBytes(bytes) => socket.send(frame(0x82, bytes)),
            Hears(text) => {
                assert_eq!(next(&mut socket), Some((1, text.as_bytes().to_vec())), "{target}: {text}");
            }
            HearsBytes(bytes) => assert_eq!(next(&mut socket), Some((2, bytes.to_vec())), "{target}"),
            IsConnected(prefix) => {
                let (_, packet) = next(&mut socket).unwrap();
                let packet = String::from_utf8(packet).unwrap();
                let keys: serde_json::Value =
                    serde_json::from_str(packet.strip_prefix(prefix).unwrap()).unwrap();
                assert_eq!(keys.as_object().unwrap().keys().collect::<Vec<_>>(), ["sid"], "{packet}");
            }
            IsClosed => assert_eq!(next(&mut socket), None, "{target}"),
        }
    }
}
