//! How clients of the generator speak: one file per transport.
//!
//! A conversation is pure: bytes in, bytes out, no socket. To add a transport write its file and
//! add it to both enums here.

mod frames;
mod head;
mod socketio;
mod sockjs;
mod sse;
mod v1;

use frames::ServerFrame;

use super::plan::CHANNEL;

/// What clients connect with.
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
    /// Which of all clients this is.
    pub(crate) index: usize,
}

impl Transport {
    /// Where turted has it by default.
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

    /// What a client says first.
    pub(crate) fn request(self, to: &Destination<'_>) -> Vec<u8> {
        let path = to.path.replace(CHANNEL, to.channel.unwrap_or_default());
        match (self, to.channel) {
            (Self::SocketIo, _) => {
                head::upgrade_request(to.authority, &format!("{path}?EIO=4&transport=websocket"))
            }
            // A session is used once; its id must not be that of another run.
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

/// What one client and the server say.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// The answer to the request has come.
    is_open: bool,
    dialogue: Dialogue,
}

/// What is said after the answer to the request.
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
    /// The server said what the protocol does not allow.
    #[error("not understood: {0}")]
    NotUnderstood(&'static str),
    /// The server closed.
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

    /// Takes bytes of the server, answers into `out` and hands every event to `event`. How many
    /// bytes it used; the rest is to come again with more behind it.
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
    /// Takes the complete WebSocket frames; how many bytes they have.
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
