//! Clients of the transports that stream: whatever their transport wraps events in, these are found by marks in
//! their payloads.

use std::net::TcpStream;

use super::{Http, WebSocket, read_some};

/// Letters of an event. Small enough to pass a send buffer of 32 KiB at once.
pub(crate) const EVENT_BYTES: usize = 20 * 1024;

const BEGIN: &[u8] = b"BEGIN:";
const END: &[u8] = b":END";

/// More than any transport writes behind a payload.
const TAIL_BYTES_MAX: usize = 400;

/// How clients ask for their stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    WebSocket,
    EventSource,
    SockJsWebSocket,
    SockJsXhrStreaming,
}

impl Way {
    pub(crate) fn open(self, number: usize, http: Http) -> Reader {
        let session = format!("/turted/000/{number}");
        match self {
            Self::WebSocket => Reader::of_websocket(http, "/ws"),
            Self::EventSource => Reader::of_response(http, "GET", "/sse"),
            Self::SockJsWebSocket => Reader::of_websocket(http, &format!("{session}/websocket")),
            Self::SockJsXhrStreaming => {
                Reader::of_response(http, "POST", &format!("{session}/xhr_streaming"))
            }
        }
    }
}

/// The payload of the event with this number.
pub(crate) fn payload(number: usize) -> String {
    format!("BEGIN:{number}:{}:END", "x".repeat(EVENT_BYTES))
}

/// One client: whatever its transport wraps events in, they are found by their ends.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    fn of_websocket(http: Http, target: &str) -> Self {
        let (stream, buffer) = WebSocket::over(http, target, &[]).unwrap().into_parts();
        Self { stream, buffer }
    }

    fn of_response(mut http: Http, method: &str, target: &str) -> Self {
        http.send_request(method, target, &[], b"");
        assert_eq!(http.read_head().unwrap().status, 200);
        let (stream, buffer) = http.into_parts();
        Self { stream, buffer }
    }

    /// The number of the next event, which has come whole. Nobody sends another one meanwhile.
    pub(crate) fn number(&mut self) -> usize {
        loop {
            let tail = self.buffer.len().saturating_sub(TAIL_BYTES_MAX);
            if let Some(at) = find(&self.buffer[tail..], END) {
                let event: Vec<u8> = self.buffer.drain(..tail + at).collect();
                self.buffer.clear();
                let text = &event[find(&event, BEGIN).unwrap() + BEGIN.len()..];
                let (number, letters) = text.split_at(text.iter().position(|byte| *byte == b':').unwrap());
                assert_eq!(letters.len(), 1 + EVENT_BYTES);
                return std::str::from_utf8(number).unwrap().parse().unwrap();
            }
            assert!(read_some(&mut self.stream, &mut self.buffer) > 0, "a healthy client was cut");
        }
    }

    /// Reads to the end, which must come; how many bytes came before it.
    pub(crate) fn bytes_to_the_end(mut self) -> usize {
        while read_some(&mut self.stream, &mut self.buffer) > 0 {}
        self.buffer.len()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
