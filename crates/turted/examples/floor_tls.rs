//! The floor of a fan-out over TLS: it encrypts the same bytes for one client after the other, with the library
//! that turted uses, and hands each record to one `send()`. Otherwise it is what `floor` is, for the transports
//! `socketio` and `websocket`. Usage: `floor_tls PORT CERT KEY`

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::net::{SendFlags, send};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use turted_core::wire::websocket::{Opcode, encode_frame};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
/// Clients of turted.v1, and those of Socket.IO: the greeting, and an answer for each message of a client.
const V1: (&str, &[&str]) = (r#"{"welcome":{}}"#, &[r#"{"reply":1,"ok":true}"#]);
const SOCKET_IO: (&str, &[&str]) = (r#"0{"sid":"floor"}"#, &[r#"40{"sid":"floor"}"#, r#"42["OK",{}]"#]);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [port, certificate, key] = &arguments[..] else { return Err("floor_tls PORT CERT KEY".into()) };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?))?;
    rustix::net::listen(&listener, 4096)?;
    Ok(serve(&listener, &Arc::new(config))?)
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>) -> io::Result<()> {
    let (mut clients, mut is_over, mut is_v1, mut record) = (Vec::new(), false, false, vec![0; 20 * 1024]);
    loop {
        let (mut client, mut head) = Client::accept(listener.accept()?.0, config)?;
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            client.hear(&mut head)?;
        }
        if head.starts_with(b"GET ") {
            if std::mem::take(&mut is_over) {
                clients.clear();
            }
            is_v1 = head.starts_with(b"GET /ws");
            let (greeting, answers) = if is_v1 { V1 } else { SOCKET_IO };
            client.tell(&[SWITCH, &text(greeting)].concat(), &mut record)?;
            for answer in answers {
                client.hear(&mut Vec::new())?;
                client.tell(&text(answer), &mut record)?;
            }
            clients.push(client);
        } else {
            // The job is over when the one who pushes leaves; a broken one ends it just as well.
            let _over = push(client, head, &mut clients, is_v1);
            is_over = true;
        }
    }
}

/// Takes pushes and sends each to everyone, until no more come.
fn push(mut backend: Client, mut request: Vec<u8>, all: &mut [Client], is_v1: bool) -> io::Result<()> {
    let mut record = vec![0; 20 * 1024];
    loop {
        // A push of the generator ends with its payload, a string.
        while !request.ends_with(b"\"}") {
            backend.hear(&mut request)?;
        }
        backend.tell(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n200 OK", &mut record)?;
        let body = String::from_utf8_lossy(&request);
        let payload = body.trim_end_matches('}').rsplit(r#""payload":"#).next().unwrap_or_default();
        let event = format!(r#"{{"event":"BENCH","payload":{payload},"via":{{"channel":"bench-0"}}"#);
        let frame = text(&match is_v1 {
            true => format!(r#"{event},"cursor":"01234567-12345"}}"#),
            false => format!(r#"42["EVENT",{event}}},"01234567-12345"]"#),
        });
        for client in &mut *all {
            client.tell(&frame, &mut record)?;
        }
        request.clear();
    }
}

fn text(message: &str) -> Vec<u8> {
    encode_frame(Opcode::Text, message.as_bytes())
}

struct Client {
    tcp: TcpStream,
    tls: UnbufferedServerConnection,
    unprocessed: Vec<u8>,
}

impl Client {
    /// Shakes hands. A request may come with the end of the handshake.
    fn accept(tcp: TcpStream, config: &Arc<ServerConfig>) -> io::Result<(Self, Vec<u8>)> {
        tcp.set_nodelay(true)?;
        let tls = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let (mut client, mut heard) = (Self { tcp, tls, unprocessed: Vec::new() }, Vec::new());
        while client.tls.is_handshaking() {
            client.hear(&mut heard)?;
        }
        Ok((client, heard))
    }

    /// Reads once and adds what was said to `heard`. What the library has to say is sent.
    fn hear(&mut self, heard: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = NonZero::new(self.tcp.read(&mut buffer)?).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.unprocessed.extend_from_slice(&buffer[..read.get()]);
        let mut written = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.unprocessed);
            let mut is_over = false;
            match state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut records) => {
                    while let Some(record) = records.next_record() {
                        heard.extend_from_slice(record.map_err(io::Error::other)?.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    written += data.encode(&mut buffer[written..]).map_err(io::Error::other)?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => is_over = true,
            }
            self.unprocessed.drain(..discard);
            if is_over {
                return self.tcp.write_all(&buffer[..written]);
            }
        }
    }

    fn tell(&mut self, bytes: &[u8], record: &mut [u8]) -> io::Result<()> {
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut []);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let length = traffic.encrypt(bytes, record).map_err(io::Error::other)?;
            send(self.tcp.as_fd(), &record[..length], SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }
}
