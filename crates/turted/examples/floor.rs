//! The floor of a fan-out: one `send()` after the other of the same bytes, and nothing else.
//!
//! What a server spends beyond this is its own doing. The floor speaks just enough to satisfy the
//! clients of `turted bench`, over any of its transports: it opens connections one by one without
//! looking at what they say, and once somebody pushes, sends every push to all of them. It is no
//! server: it trusts its clients, checks nothing and serves one job at a time.
//!
//! Usage: `floor PORT`

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::net::{SendFlags, send};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use turted_core::wire::chunked::encode_chunk;
use turted_core::wire::sockjs::{OPEN, encode_messages};
use turted_core::wire::websocket::{Opcode, encode_frame};

/// How one transport opens a connection and what it makes of an event: as many bytes as turted, so
/// that writes are equal.
struct Dialect {
    /// How the target of its requests begins.
    path: &'static str,
    /// What a client is told at once.
    greeting: fn() -> Vec<u8>,
    /// What it is told after each of its own messages.
    answers: &'static [&'static str],
    /// What it receives for a payload.
    event: fn(&str) -> Vec<u8>,
}

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

const DIALECTS: [Dialect; 4] = [
    Dialect {
        path: "/socket.io/",
        greeting: || [SWITCH, &text(r#"0{"sid":"floor"}"#)].concat(),
        answers: &[r#"40{"sid":"floor"}"#, r#"42["OK",{}]"#],
        event: |payload| {
            let object = object(payload);
            text(&format!(r#"42["EVENT",{object},"01234567-12345"]"#))
        },
    },
    Dialect {
        path: "/ws",
        greeting: || [SWITCH, &text(r#"{"welcome":{}}"#)].concat(),
        answers: &[r#"{"reply":1,"ok":true}"#],
        event: |payload| {
            let object = object(payload);
            text(&format!(r#"{},"cursor":"01234567-12345"}}"#, object.trim_end_matches("}")))
        },
    },
    Dialect {
        path: "/sse",
        greeting: || {
            let mut greeting = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            encode_chunk(b"retry: 3000\n\n", &mut greeting);
            greeting
        },
        answers: &[],
        event: |payload| {
            let mut chunk = Vec::new();
            let event = format!("id: 01234567-12345\nevent: BENCH\ndata: {payload}\n\n");
            encode_chunk(event.as_bytes(), &mut chunk);
            chunk
        },
    },
    Dialect {
        path: "/turted/",
        greeting: || [SWITCH, &text(OPEN)].concat(),
        answers: &[r#"a["{\"type\":\"message\"}"]"#],
        event: |payload| {
            let message = format!(r#"{{"type":"BENCH","data":{payload},"via":{{"channel":"bench-0"}}}}"#);
            text(&encode_messages([&*message]))
        },
    },
];

fn text(message: &str) -> Vec<u8> {
    encode_frame(Opcode::Text, message.as_bytes())
}

fn object(payload: &str) -> String {
    format!(r#"{{"event":"BENCH","payload":{payload},"via":{{"channel":"bench-0"}}}}"#)
}

fn main() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7118);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // The standard library listens with a backlog of 128; a second call sets another.
    rustix::net::listen(&listener, 4096)?;
    let mut clients = Vec::new();
    let mut is_over = false;
    let mut dialect = &DIALECTS[0];
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let head = read_until(&mut stream, b"\r\n\r\n")?;
        if let Some(target) = head.strip_prefix(b"GET ") {
            if std::mem::take(&mut is_over) {
                clients.clear();
            }
            let is_meant = |dialect: &&Dialect| target.starts_with(dialect.path.as_bytes());
            dialect = DIALECTS.iter().find(is_meant).ok_or(io::ErrorKind::InvalidInput)?;
            open(&mut stream, dialect)?;
            clients.push(stream);
        } else {
            // The job is over when the one who pushes leaves; a broken one ends it just as well.
            // Its clients leave by themselves: they count whom the server leaves.
            let _over = push(&mut stream, head, (dialect, &clients));
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

/// Says what a client waits for, one answer for each of its own messages.
fn open(stream: &mut TcpStream, dialect: &Dialect) -> io::Result<()> {
    stream.write_all(&(dialect.greeting)())?;
    for answer in dialect.answers {
        read_more(stream, &mut Vec::new())?;
        stream.write_all(&text(answer))?;
    }
    Ok(())
}

/// Takes pushes and sends each to everyone, until no more come.
fn push(
    stream: &mut TcpStream,
    mut request: Vec<u8>,
    (dialect, clients): (&Dialect, &[TcpStream]),
) -> io::Result<()> {
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
        let frame = (dialect.event)(payload);
        for client in clients {
            send(client.as_fd(), &frame, SendFlags::NOSIGNAL)?;
        }
        request.clear();
    }
}
