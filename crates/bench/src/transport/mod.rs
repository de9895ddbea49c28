//! How clients of the generator speak: one file per transport.
//!
//! A conversation is pure: it takes bytes and returns bytes, without a socket. A new transport needs a file,
//! and a variant in both enums here.
//!
//! | file | what |
//! |---|---|
//! | `socketio`, `v1`, `sse`, `sockjs` | one transport each |
//! | `frames`, `head` | WebSocket frames; heads of HTTP/1.1 |

mod socketio;
mod v1;
mod sse;
mod sockjs;
mod frames;
mod head;

use frames::ServerFrame;

use super::plan::CHANNEL;

/// The transport of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Socket.IO over WebSocket, version 4 of Engine.IO
    #[value(name = "socketio")]
    SocketIo,
    /// The protocol turted.v1
    #[value(name = "websocket")]
    WebSocket,
    /// Event streams over HTTP/1.1, the channel in the query
    Sse,
    /// SockJS over WebSocket, with the protocol of turted 0.1
    #[value(name = "sockjs")]
    SockJs,
    /// WebSocket without a protocol, for other servers: the channel in the path
    Plain,
}

/// Where a client connects to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    /// Host and port.
    pub(crate) authority: &'a str,
    /// Where the server has the transport; `{channel}` in it is replaced.
    pub(crate) path: &'a str,
    pub(crate) channel: Option<&'a str>,
    /// The number of this client.
    pub(crate) index: usize,
}

impl Transport {
    /// The path of the transport in turted's defaults.
    #[must_use]
    pub fn default_path(self) -> &'static str {
        match self {
            Self::SocketIo => "/socket.io/",
            Self::WebSocket => "/ws",
            Self::Sse => "/sse",
            Self::SockJs => "/turted",
            Self::Plain => "/",
        }
    }

    /// What a client sends first.
    pub(crate) fn request(self, to: &Destination<'_>) -> Vec<u8> {
        let path = to.path.replace(CHANNEL, to.channel.unwrap_or_default());
        match (self, to.channel) {
            (Self::SocketIo, _) => {
                head::upgrade_request(to.authority, &format!("{path}?EIO=4&transport=websocket"))
            }
            // A session is used once, so its id must differ from those of other runs.
            (Self::SockJs, _) => {
                let (process, index) = (std::process::id(), to.index);
                head::upgrade_request(to.authority, &format!("{path}/000/bench-{process}-{index}/websocket"))
            }
            (Self::WebSocket | Self::Plain, _) => head::upgrade_request(to.authority, &path),
            (Self::Sse, Some(channel)) => {
                head::stream_request(to.authority, &format!("{path}?channel={channel}"))
            }
            (Self::Sse, None) => head::stream_request(to.authority, &path),
        }
    }
}

/// The conversation of one client with the server.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Whether the answer to the request has arrived.
    is_open: bool,
    dialogue: Dialogue,
}

/// What follows the answer to the request.
#[derive(Debug)]
enum Dialogue {
    SocketIo(socketio::Dialogue),
    V1(v1::Dialogue),
    SockJs(sockjs::Dialogue),
    Plain,
    Sse(sse::Stream),
}

/// Why a conversation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The server did not accept the connection.
    #[error("refused: {0}")]
    Refused(String),
    /// The server sent something that the protocol does not allow here.
    #[error("not understood: {0}")]
    NotUnderstood(&'static str),
    /// The server closed the connection.
    #[error("closed by the server")]
    Closed,
}

impl Broken {
    fn refused(answer: &[u8]) -> Self {
        Self::Refused(String::from_utf8_lossy(answer).into_owned())
    }
}

impl Conversation {
    /// A conversation that has not begun, of a client that joins `channel` if there is one.
    pub(crate) fn new(transport: Transport, channel: Option<String>) -> Self {
        let dialogue = match transport {
            Transport::SocketIo => Dialogue::SocketIo(socketio::Dialogue::new(channel)),
            Transport::WebSocket => Dialogue::V1(v1::Dialogue::new(channel)),
            Transport::SockJs => Dialogue::SockJs(sockjs::Dialogue::new(channel)),
            Transport::Plain => Dialogue::Plain,
            Transport::Sse => Dialogue::Sse(sse::Stream::default()),
        };
        Self { is_open: false, dialogue }
    }

    /// Takes bytes of the server, appends answers to `out` and passes every event to `event`. Returns how
    /// many bytes it used. The caller passes the rest again, with more bytes behind it.
    ///
    /// # Errors
    /// The conversation has ended.
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        if !self.is_open {
            let status = if matches!(self.dialogue, Dialogue::Sse(_)) { "200" } else { "101" };
            let Some(answer) = head::answer(input, status)? else { return Ok(0) };
            used = answer.bytes;
            self.is_open = true;
            if let Dialogue::Sse(stream) = &mut self.dialogue {
                stream.open(answer.is_chunked);
            }
        }
        let rest = &input[used..];
        Ok(used
            + match &mut self.dialogue {
                Dialogue::Sse(stream) => stream.receive(rest, event)?,
                dialogue => dialogue.frames(rest, out, event)?,
            })
    }

    /// Whether the client receives events from now on.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.dialogue {
            Dialogue::SocketIo(dialogue) => dialogue.is_ready(),
            Dialogue::V1(dialogue) => dialogue.is_ready(),
            Dialogue::SockJs(dialogue) => dialogue.is_ready(),
            Dialogue::Plain => self.is_open,
            Dialogue::Sse(stream) => stream.is_ready(),
        }
    }
}

impl Dialogue {
    /// Handles the complete WebSocket frames. Returns how many bytes they have.
    fn frames(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((frame, bytes)) = frames::decode(&input[used..])? {
            used += bytes;
            match frame {
                ServerFrame::Text(text) => self.message(text, out, event)?,
                ServerFrame::Ping(payload) => frames::encode_pong(payload, out),
                ServerFrame::Other => {}
                ServerFrame::Close => return Err(Broken::Closed),
            }
        }
        Ok(used)
    }

    fn message(
        &mut self,
        text: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        match self {
            Self::SocketIo(dialogue) => dialogue.packet(text, out, event),
            Self::V1(dialogue) => dialogue.message(text, out, event),
            Self::SockJs(dialogue) => dialogue.frame(text, out, event),
            Self::Plain | Self::Sse(_) => {
                event(text);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
