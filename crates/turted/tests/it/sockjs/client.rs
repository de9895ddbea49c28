//! Clients of SockJS by hand, over each of its transports.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Http, PATIENCE, Response, TestServer, WebSocket, frame, read_some};

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    WebSocket,
    Raw,
    Xhr,
    XhrStreaming,
    EventSource,
    HtmlFile,
    Jsonp,
}

impl Way {
    pub(crate) const ALL: [Self; 7] = [
        Self::WebSocket,
        Self::Raw,
        Self::Xhr,
        Self::XhrStreaming,
        Self::EventSource,
        Self::HtmlFile,
        Self::Jsonp,
    ];
    pub(crate) const BY_REQUESTS: [Self; 5] =
        [Self::Xhr, Self::XhrStreaming, Self::EventSource, Self::HtmlFile, Self::Jsonp];
    pub(crate) const STREAMING: [Self; 3] = [Self::XhrStreaming, Self::EventSource, Self::HtmlFile];

    fn name(self) -> &'static str {
        match self {
            Self::WebSocket | Self::Raw => "websocket",
            Self::Xhr => "xhr",
            Self::XhrStreaming => "xhr_streaming",
            Self::EventSource => "eventsource",
            Self::HtmlFile => "htmlfile",
            Self::Jsonp => "jsonp",
        }
    }

    pub(crate) fn is_streaming(self) -> bool {
        Self::STREAMING.contains(&self)
    }

    /// Method and path of the request that receives.
    pub(crate) fn receiver(self, session: &str) -> (&'static str, String) {
        let target = format!("{session}/{}", self.name());
        match self {
            Self::Xhr | Self::XhrStreaming => ("POST", target),
            Self::HtmlFile | Self::Jsonp => ("GET", format!("{target}?c=cb.x_1")),
            _ => ("GET", target),
        }
    }

    /// The frame in what the transport sent.
    pub(crate) fn unwrap(self, sent: &str) -> String {
        let between = |before: &str, behind: &str| {
            let inner = sent.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            inner.unwrap_or_else(|| panic!("{self:?} sent {sent:?}")).to_owned()
        };
        let string = |text: String| serde_json::from_str(&text).unwrap();
        match self {
            Self::WebSocket | Self::Raw => sent.to_owned(),
            Self::Xhr | Self::XhrStreaming => between("", "\n"),
            Self::EventSource => between("data: ", "\r\n\r\n").replace("%25", "%"),
            Self::HtmlFile => string(between("<script>\np(", ");\n</script>\r\n")),
            Self::Jsonp => string(between("/**/cb.x_1(", ");\r\n")),
        }
    }
}

/// The path of a new session.
pub(crate) fn new_session() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/turted/000/session_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A response that streams.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) head: Response,
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Chunks {
    pub(crate) fn open(server: &TestServer, (method, target): (&str, &str)) -> Self {
        Self::over(server.http(), (method, target))
    }

    pub(crate) fn over(mut http: Http, (method, target): (&str, &str)) -> Self {
        http.send_request(method, target, &[], b"");
        let head = http.read_head().unwrap();
        Self::behind(head, http)
    }

    /// The rest of a response whose head was read.
    pub(super) fn behind(head: Response, http: Http) -> Self {
        let (stream, buffer) = http.into_parts();
        Self { head, stream, buffer }
    }

    /// The next chunk; `None` at the end of the response.
    pub(crate) fn next(&mut self) -> Option<String> {
        let line = loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            if read_some(&mut self.stream, &mut self.buffer) == 0 {
                return None;
            }
        };
        let length = std::str::from_utf8(&self.buffer[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap_or_else(|_| panic!("no length: {length:?}"));
        while self.buffer.len() < line + 2 + length + 2 {
            assert!(read_some(&mut self.stream, &mut self.buffer) > 0, "the end within a chunk");
        }
        let data = self.buffer[line + 2..line + 2 + length].to_vec();
        self.buffer.drain(..line + 2 + length + 2);
        (length > 0).then(|| String::from_utf8(data).unwrap())
    }
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) way: Way,
    pub(crate) session: String,
    server: SocketAddr,
    socket: Option<WebSocket>,
    response: Option<Chunks>,
    messages: VecDeque<String>,
}

impl Client {
    /// Connects and hears that it is open.
    pub(crate) fn connect(server: &TestServer, way: Way) -> Self {
        Self::connect_to(server.address(), way)
    }

    /// The same at an address.
    pub(crate) fn connect_to(server: SocketAddr, way: Way) -> Self {
        let session = new_session();
        let mut client = Self {
            way,
            session: session.clone(),
            server,
            socket: None,
            response: None,
            messages: VecDeque::new(),
        };
        let target = match way {
            Way::Raw => "/turted/websocket".to_owned(),
            _ => format!("{session}/websocket"),
        };
        if matches!(way, Way::WebSocket | Way::Raw) {
            client.socket = Some(WebSocket::connect(server, &target, &[]).unwrap());
        }
        if way != Way::Raw {
            assert_eq!(client.frame(), "o", "{way:?}");
        }
        client
    }

    /// The next frame; asks for it again as often as it takes.
    pub(crate) fn frame(&mut self) -> String {
        self.next_frame().unwrap_or_else(|| panic!("{:?} was ended", self.way))
    }

    /// The next frame; `None` if the WebSocket has ended.
    pub(crate) fn next_frame(&mut self) -> Option<String> {
        if let Some(socket) = &mut self.socket {
            return socket.text();
        }
        let (method, target) = self.way.receiver(&self.session);
        if !self.way.is_streaming() {
            let response = Http::connect(self.server).request(method, &target, &[], b"");
            assert_eq!(response.status, 200, "{}", response.text());
            return Some(self.way.unwrap(response.text()));
        }
        loop {
            if self.response.is_none() {
                let mut response = Chunks::over(Http::connect(self.server), (method, &target));
                assert_eq!(response.head.status, 200);
                response.next().expect("the prelude");
                self.response = Some(response);
            }
            match self.response.as_mut().unwrap().next() {
                Some(chunk) => return Some(self.way.unwrap(&chunk)),
                None => self.response = None,
            }
        }
    }

    /// The next message.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            let frame = self.frame();
            if self.way == Way::Raw {
                return frame;
            }
            match frame.split_at(1) {
                ("h", "") => {}
                ("a", list) => self.messages.extend(serde_json::from_str::<Vec<String>>(list).unwrap()),
                _ => panic!("{:?} heard {frame}", self.way),
            }
        }
    }

    /// Says something, and the server takes it.
    pub(crate) fn say(&mut self, message: &str) {
        let list = serde_json::to_string(&[message]).unwrap();
        match (&mut self.socket, self.way) {
            (Some(socket), Way::Raw) => socket.send(frame(0x81, message.as_bytes())),
            (Some(socket), _) => socket.send(frame(0x81, list.as_bytes())),
            (None, Way::Jsonp) => {
                let body = format!("d={}", encode(&list));
                let form = [("Content-Type", "application/x-www-form-urlencoded")];
                let response = self.post("jsonp_send", &form, body.as_bytes());
                assert_eq!((response.status, response.text()), (200, "ok"));
            }
            (None, _) => {
                let response = self.post("xhr_send", &[], list.as_bytes());
                assert_eq!((response.status, response.text()), (204, ""));
            }
        }
    }

    pub(crate) fn post(&self, name: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        Http::connect(self.server).post(&format!("{}/{name}", self.session), headers, body)
    }

    /// Says several things at once, and does not wait for the server to take them.
    pub(crate) fn start_saying(&mut self, messages: &[&str]) -> Option<Http> {
        let list = serde_json::to_string(messages).unwrap();
        match (&mut self.socket, self.way) {
            (Some(socket), Way::Raw) => {
                messages.iter().for_each(|message| socket.send(frame(0x81, message.as_bytes())));
                None
            }
            (Some(socket), _) => {
                socket.send(frame(0x81, list.as_bytes()));
                None
            }
            (None, _) => {
                let mut http = Http::connect(self.server);
                http.send_request("POST", &format!("{}/xhr_send", self.session), &[], list.as_bytes());
                Some(http)
            }
        }
    }

    /// Says something and hears the answer.
    pub(crate) fn ask(&mut self, message: &str) -> String {
        self.say(message);
        self.hear()
    }

    /// The connection of the response under way.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.response.as_mut().unwrap().stream
    }

    /// Lets go of its receiver.
    pub(crate) fn leave(&mut self) {
        self.response = None;
        self.socket = None;
    }

    /// Reads the response under way to its end; what is in it is heard later.
    pub(crate) fn leave_when_over(&mut self) {
        let way = self.way;
        let Some(mut response) = self.response.take() else { return };
        while let Some(chunk) = response.next() {
            let frame = way.unwrap(&chunk);
            self.messages.extend(serde_json::from_str::<Vec<String>>(&frame[1..]).unwrap());
        }
    }

    /// Waits until no more comes: the WebSocket has ended, or the session is told as ended.
    pub(crate) fn is_ended(&mut self) -> bool {
        if let Some(socket) = &mut self.socket {
            while socket.read().is_some() {}
            return true;
        }
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            if self.frame().starts_with('c') {
                return true;
            }
        }
        false
    }
}

/// Text as a field of a form.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
