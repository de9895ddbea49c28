//! The floor of a fan-out: one `send()` after the other of the same bytes, and nothing else.
//!
//! What a server spends beyond this is its own doing. The floor speaks just enough to satisfy the
//! clients of `turted bench`: it opens connections one by one without looking at what they say,
//! and once somebody pushes, sends every push to all of them. It is no server: it trusts its
//! clients, checks nothing and serves one job at a time.
//!
//! Usage: `floor PORT`

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::net::{SendFlags, send};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use turted_core::wire::websocket::{Opcode, encode_frame};

/// What turted adds to a packet: as many bytes, so that frames are equal.
const ADDITIONS: &str = r#","via":{"channel":"bench-0"}},"01234567-12345"]"#;

fn main() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7118);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // The standard library listens with a backlog of 128; a second call sets another.
    rustix::net::listen(&listener, 4096)?;
    let mut clients = Vec::new();
    let mut is_over = false;
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let head = read_until(&mut stream, b"\r\n\r\n")?;
        if head.starts_with(b"GET ") {
            if std::mem::take(&mut is_over) {
                clients.clear();
            }
            open(&mut stream)?;
            clients.push(stream);
        } else {
            // The job is over when the one who pushes leaves; a broken one ends it just as well.
            // Its clients leave by themselves: they count whom the server leaves.
            let _over = push(&mut stream, head, &clients);
            is_over = true;
        }
    }
}

/// Reads until `end` comes, and perhaps more.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.windows(end.len()).any(|window| window == end) {
        read_more(stream, &mut bytes)?;
    }
    Ok(bytes)
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend_from_slice(&buffer[..read]);
            Ok(())
        }
    }
}

/// Says what a Socket.IO client waits for, one packet for each of its own.
fn open(stream: &mut TcpStream) -> io::Result<()> {
    let mut greeting = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    greeting.extend(encode_frame(Opcode::Text, br#"0{"sid":"floor"}"#));
    stream.write_all(&greeting)?;
    for answer in [r#"40{"sid":"floor"}"#, r#"42["OK",{}]"#] {
        read_more(stream, &mut Vec::new())?;
        stream.write_all(&encode_frame(Opcode::Text, answer.as_bytes()))?;
    }
    Ok(())
}

/// Takes pushes and sends each to everyone, until no more come.
fn push(stream: &mut TcpStream, mut request: Vec<u8>, clients: &[TcpStream]) -> io::Result<()> {
    const END: &[u8] = b"\"}";
    loop {
        // A push of the generator ends with its payload, a string.
        while !request.ends_with(END) {
            read_more(stream, &mut request)?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n200 OK")?;
        let text = String::from_utf8_lossy(&request);
        let (_, payload) = text.rsplit_once(r#""payload":"#).ok_or(io::ErrorKind::InvalidData)?;
        let payload = payload.trim_end_matches('}');
        let packet = format!(r#"42["EVENT",{{"event":"BENCH","payload":{payload}{ADDITIONS}"#);
        let frame = encode_frame(Opcode::Text, packet.as_bytes());
        for client in clients {
            send(client.as_fd(), &frame, SendFlags::NOSIGNAL)?;
        }
        request.clear();
    }
}
