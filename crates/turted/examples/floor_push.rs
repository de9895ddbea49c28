//! The floor of pushes to few: an epoll loop without log, rules or limits.
//!
//! Clients join channels over turted.v1 as `turted bench` speaks it, and a push goes to those in its channel. It reads what it
//! has to know, answers, and sends the same bytes as turted, with the socket options of turted. It is no server: it trusts
//! its clients, checks nothing, and waits for one that does not read. Usage: `floor_push PORT`

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use turted_core::limits::SEND_BUFFER_BYTES;
use turted_core::wire::websocket::{Opcode, encode_frame};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n200 OK";
/// Events of one look, and bytes of one read.
const EVENTS: usize = 1024;
const READ_BYTES: usize = 64 * 1024;
/// What turted gives a segment by default.
const SEGMENT_BYTES: u32 = 16 * 1024;

/// A connection, with the part of a request or a frame that has arrived.
struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
    is_websocket: bool,
}

/// All connections by their numbers, from 1 on, and who is in which channel. Those that are gone stay there.
struct Floor {
    epoll: OwnedFd,
    last: u64,
    connections: HashMap<u64, Connection>,
    channels: HashMap<String, Vec<u64>>,
}

fn main() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7118);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // Accepted connections inherit these.
    let options = SockRef::from(&listener);
    options.set_tcp_nodelay(true)?;
    options.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    options.set_tcp_mss(SEGMENT_BYTES)?;
    listener.set_nonblocking(true)?;
    // The standard library listens with a backlog of 128; a second call sets another.
    rustix::net::listen(&listener, 4096)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    let mut floor = Floor { epoll, last: 0, connections: HashMap::new(), channels: HashMap::new() };
    let (mut events, mut scratch) = (Vec::with_capacity(EVENTS), vec![0; READ_BYTES]);
    loop {
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                0 => floor.accept(&listener)?,
                key => floor.read(key, &mut scratch)?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            self.last += 1;
            epoll::add(&self.epoll, &stream, EventData::new_u64(self.last), EventFlags::IN)?;
            self.connections.insert(self.last, Connection { stream, rest: vec![], is_websocket: false });
        }
        Ok(())
    }

    fn read(&mut self, key: u64, scratch: &mut [u8]) -> io::Result<()> {
        let Some(mut from) = self.connections.remove(&key) else { return Ok(()) };
        let Ok(read @ 1..) = from.stream.read(scratch) else { return Ok(()) };
        from.rest.extend_from_slice(&scratch[..read]);
        let mut replies = Vec::new();
        while let Some(bytes) = self.take(key, &mut from, &mut replies)? {
            from.rest.drain(..bytes);
        }
        // A client that is gone is noticed when it is read.
        from.stream.write_all(&replies).ok();
        self.connections.insert(key, from);
        Ok(())
    }

    /// Handles the first frame or request of a connection. Returns its length, or `None` if it is not complete.
    fn take(&mut self, key: u64, from: &mut Connection, replies: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if from.is_websocket {
            let Some((text, bytes)) = unmask(&mut from.rest) else { return Ok(None) };
            let id = between(text, "\"id\":", ",").unwrap_or_default();
            if let Some(channel) = between(text, "channel\":\"", "\"") {
                self.channels.entry(channel.to_owned()).or_default().push(key);
                replies.extend(frame(&format!(r#"{{"reply":{id},"ok":true}}"#)));
            }
            return Ok(Some(bytes));
        }
        let Some(end) = memmem::find(&from.rest, b"\r\n\r\n").map(|end| end + 4) else { return Ok(None) };
        let head = str::from_utf8(&from.rest[..end]).map_err(io::Error::other)?;
        let length: usize = between(head, "content-length: ", "\r").map_or(Ok(0), str::parse).unwrap_or(0);
        let Some(body) = from.rest.get(end..end + length) else { return Ok(None) };
        if head.starts_with("GET ") {
            from.is_websocket = true;
            replies.extend([SWITCH, &frame(r#"{"welcome":{}}"#)].concat());
        } else {
            replies.extend(ACCEPTED);
            self.push(str::from_utf8(body).map_err(io::Error::other)?);
        }
        Ok(Some(end + body.len()))
    }

    /// Sends a push to everyone in its channel.
    fn push(&self, body: &str) {
        let Some(channel) = between(body, "channels\":[\"", "\"") else { return };
        let payload =
            body.trim_end_matches('}').rsplit_once("\"payload\":").map_or("", |(_, payload)| payload);
        let via = format!(r#""via":{{"channel":"{channel}"}},"cursor":"01234567-12345""#);
        let frame = frame(&format!(r#"{{"event":"BENCH","payload":{payload},{via}}}"#));
        let members = self.channels.get(channel).into_iter().flatten();
        for to in members.filter_map(|key| self.connections.get(key)) {
            (&to.stream).write_all(&frame).ok();
        }
    }
}

fn frame(text: &str) -> Vec<u8> {
    encode_frame(Opcode::Text, text.as_bytes())
}

/// The text of a frame of the client and the length of the frame. Clients of a benchmark say less than 126 bytes at once.
fn unmask(input: &mut [u8]) -> Option<(&str, usize)> {
    let end = 6 + usize::from(*input.get(1)? & 0x7F);
    let (mask, text) = input.get_mut(2..end)?.split_at_mut(4);
    text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((str::from_utf8(text).unwrap_or_default(), end))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}
