//! A client of event streams by hand, by the rules of the standard (HTML, "Parsing an event stream"
//! and "Interpreting an event stream").

use std::net::{SocketAddr, TcpStream};

use super::http::read_some;
use super::{Http, Response};

/// What a page sees of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamEvent {
    /// The name that listeners listen for.
    pub(crate) name: String,
    pub(crate) data: String,
    /// `lastEventId`.
    pub(crate) id: String,
}

#[derive(Debug)]
pub(crate) struct EventSource {
    pub(crate) stream: TcpStream,
    pub(crate) head: Response,
    /// Bytes of the response that are not decoded yet.
    raw: Vec<u8>,
    /// Bytes of the body that are not a whole line yet.
    body: Vec<u8>,
    state: State,
}

/// What it knows between two lines.
#[derive(Debug, Default)]
struct State {
    /// Whether the response ended as it should.
    complete: bool,
    comments: usize,
    retry: Option<u64>,
    /// What it would send as `Last-Event-ID`.
    last_id: String,
    id: String,
    name: String,
    data: String,
}

impl EventSource {
    /// Asks for a stream.
    ///
    /// # Errors
    /// The answer, if it is no stream.
    pub(crate) fn connect(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        let mut http = Http::connect(address);
        let mut all = vec![("Accept", "text/event-stream")];
        all.extend_from_slice(headers);
        http.send_request("GET", target, &all, b"");
        Self::over(http)
    }

    /// Reads the answer to a request that was sent.
    ///
    /// # Errors
    /// The answer, if it is no stream.
    pub(crate) fn over(mut http: Http) -> Result<Self, Response> {
        let head = http.read_head().expect("an answer");
        if head.status != 200 || head.header("content-length").is_some() {
            return Err(http.read_body(head));
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let (stream, raw) = http.into_parts();
        Ok(Self { stream, head, raw, body: Vec::new(), state: State::default() })
    }

    /// The next event, which must come.
    pub(crate) fn event(&mut self) -> StreamEvent {
        self.next().unwrap_or_else(|| panic!("an event, not the end: {self:?}"))
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<StreamEvent> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(event) = self.state.line(&line) {
                    return Some(event);
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads until there is a comment more.
    pub(crate) fn comment(&mut self) {
        let before = self.state.comments;
        while self.state.comments == before {
            match self.take_line() {
                Some(line) => assert_eq!(self.state.line(&line), None, "an event, not a comment"),
                None => assert!(self.fill(), "the end, not a comment"),
            }
        }
        // What belongs to it goes on to the empty line.
        while let Some(line) = self.take_line().filter(|line| !line.is_empty()) {
            self.state.line(&line);
        }
        self.state.line("");
    }

    /// Reads to the end: whether it came as it should, without another event.
    pub(crate) fn is_ended_well(&mut self) -> bool {
        let event = self.next();
        assert_eq!(event, None);
        self.state.complete
    }

    pub(crate) fn retry(&self) -> Option<u64> {
        self.state.retry
    }

    /// What it shows when it comes back.
    pub(crate) fn last_id(&self) -> &str {
        &self.state.last_id
    }

    /// Reads the first fields, up to the first empty line.
    pub(crate) fn start(&mut self) {
        while self.state.retry.is_none() || !self.body.is_empty() {
            match self.take_line() {
                Some(line) => assert_eq!(self.state.line(&line), None),
                None => assert!(self.fill()),
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let at = self.body.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
        let end = match &self.body[at..] {
            // The line feed of a pair may still come.
            b"\r" => return None,
            [b'\r', b'\n', ..] => at + 2,
            _ => at + 1,
        };
        let line = String::from_utf8(self.body[..at].to_vec()).expect("UTF-8");
        self.body.drain(..end);
        Some(line)
    }

    /// Reads more of the body; whether there is any.
    fn fill(&mut self) -> bool {
        loop {
            if self.head.header("transfer-encoding").is_none() {
                self.body.append(&mut self.raw);
            } else {
                self.take_chunks();
            }
            if !self.body.is_empty() && self.body.contains(&b'\n') {
                return true;
            }
            if self.state.complete || read_some(&mut self.stream, &mut self.raw) == 0 {
                return false;
            }
        }
    }

    fn take_chunks(&mut self) {
        while let Some(at) = self.raw.windows(2).position(|pair| pair == b"\r\n") {
            let digits = std::str::from_utf8(&self.raw[..at]).expect("a length");
            let length = usize::from_str_radix(digits, 16).expect("a length");
            let Some(rest) = self.raw[at + 2..].get(..length + 2) else { return };
            assert_eq!(&rest[length..], b"\r\n", "the end of a chunk");
            self.body.extend_from_slice(&rest[..length]);
            self.raw.drain(..at + length + 4);
            if length == 0 {
                assert!(self.raw.is_empty(), "bytes behind the last chunk");
                self.state.complete = true;
                return;
            }
        }
    }
}

impl State {
    fn line(&mut self, line: &str) -> Option<StreamEvent> {
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", _)) => self.comments += 1,
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
        None
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.name = value.to_owned(),
            "data" => self.data.extend([value, "\n"]),
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => self.retry = value.parse().ok(),
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<StreamEvent> {
        self.last_id.clone_from(&self.id);
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if data.is_empty() {
            return None;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(StreamEvent { name, data, id: self.id.clone() })
    }
}
