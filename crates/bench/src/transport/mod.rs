//! How clients of the generator speak: one file per transport.
//!
//! A conversation is pure: it takes bytes and returns bytes, without a socket. A new transport needs a file,
//! and a variant in both enums here.
//!
//! | file | what |
//! |---|---|
//! | `socketio`, `v1`, `sse`, `sockjs` | one transport each |
//! | `polling` | how a session of Socket.IO begins that a WebSocket takes over |
//! | `talk` | what the options of a run describe, on a WebSocket or a stream |
//! | `frames`, `head` | WebSocket frames; heads of HTTP/1.1 |

mod socketio;
mod v1;
pub(crate) mod polling;
mod sse;
mod sockjs;
mod talk;
mod frames;
mod head;

use std::sync::Arc;

use frames::ServerFrame;

use super::memory::{Memory, Recall};
use super::protocol::{CHANNEL, Speech, fill};

/// The transport of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Socket.IO over WebSocket, version 4 of Engine.IO
    #[value(name = "socketio")]
    SocketIo,
    /// Socket.IO that begins by polling, and then goes on over WebSocket
    Polling,
    /// The protocol turted.v1
    #[value(name = "websocket")]
    WebSocket,
    /// Event streams over HTTP/1.1, the channel in the query
    Sse,
    /// SockJS over WebSocket, with the protocol of turted 0.1
    #[value(name = "sockjs")]
    SockJs,
    /// WebSocket for servers of others: the channel in the path, or in what clients say
    Plain,
}

/// Where a client connects to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    /// Host and port.
    pub(crate) authority: &'a str,
    /// Where the server has the transport; `{channel}` in it is replaced.
    pub(crate) path: &'a str,
    /// What else the request has.
    pub(crate) speech: &'a Speech,
    /// What the client remembers, if it comes back.
    pub(crate) memory: Option<&'a Memory>,
    pub(crate) channel: Option<&'a str>,
    /// The session that a WebSocket takes over, if it began by polling.
    pub(crate) session: Option<&'a str>,
    /// The number of this client.
    pub(crate) index: usize,
}

/// What a client asks for once it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To receive what is pushed to this channel.
    Join(String),
    /// To be this user.
    Ident(String),
}

impl Transport {
    /// The path of the transport in turted's defaults.
    #[must_use]
    pub fn default_path(self) -> &'static str {
        match self {
            Self::SocketIo | Self::Polling => "/socket.io/",
            Self::WebSocket => "/ws",
            Self::Sse => "/sse",
            Self::SockJs => "/turted",
            Self::Plain => "/",
        }
    }

    /// Whether clients of it can ask for several channels, or to be a user.
    #[must_use]
    pub fn asks(self) -> bool {
        matches!(self, Self::SocketIo | Self::Polling | Self::WebSocket)
    }

    /// What a client sends first; where a session began by polling, what it sends first over its WebSocket.
    pub(crate) fn request(self, to: &Destination<'_>) -> Vec<u8> {
        let path = match (to.memory, &to.speech.again.path) {
            (Some(memory), Some(path)) => &*memory.fill(path),
            _ => to.path,
        };
        let has_channel = path.contains(CHANNEL);
        let path = fill(path, to.channel);
        match (self, to.channel) {
            (Self::SocketIo, _) => head::upgrade_request(to, &format!("{path}?EIO=4&transport=websocket")),
            (Self::Polling, _) => match to.session {
                Some(session) => {
                    head::upgrade_request(to, &format!("{path}?EIO=4&transport=websocket&sid={session}"))
                }
                None => polling::handshake_request(to.authority, &path),
            },
            // A session is used once, so its id must differ from those of other runs.
            (Self::SockJs, _) => {
                let (process, index) = (std::process::id(), to.index);
                head::upgrade_request(to, &format!("{path}/000/bench-{process}-{index}/websocket"))
            }
            (Self::WebSocket | Self::Plain, _) => head::upgrade_request(to, &path),
            (Self::Sse, Some(channel)) if !has_channel => {
                head::stream_request(to, &format!("{path}?channel={channel}"))
            }
            (Self::Sse, _) => head::stream_request(to, &path),
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
    Plain(talk::Talk),
    Sse(sse::Stream, talk::Talk),
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
    /// A conversation that has not begun, of a client that joins `channel` if there is one. Where a transport lets clients
    /// ask, they ask for `asks` instead.
    pub(crate) fn new(
        transport: Transport,
        speech: &Arc<Speech>,
        (channel, asks): (Option<String>, Vec<Ask>),
        recall: Recall,
    ) -> Self {
        let talk = |channel, recall| talk::Talk::new(Arc::clone(speech), channel, recall);
        let dialogue = match transport {
            Transport::SocketIo => Dialogue::SocketIo(socketio::Dialogue::new(asks, recall)),
            Transport::Polling => Dialogue::SocketIo(socketio::Dialogue::upgrading(asks)),
            Transport::WebSocket => Dialogue::V1(v1::Dialogue::new(asks, recall)),
            Transport::SockJs => Dialogue::SockJs(sockjs::Dialogue::new(channel)),
            Transport::Plain => Dialogue::Plain(talk(channel, recall)),
            Transport::Sse => Dialogue::Sse(sse::Stream::default(), talk(channel, recall)),
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
            let status = if matches!(self.dialogue, Dialogue::Sse(..)) { "200" } else { "101" };
            let Some(answer) = head::answer(input, status)? else { return Ok(0) };
            used = answer.bytes;
            self.is_open = true;
            self.dialogue.open(answer.is_chunked, out);
        }
        let rest = &input[used..];
        Ok(used
            + match &mut self.dialogue {
                Dialogue::Sse(stream, talk) => {
                    let mut result = Ok(());
                    let used = stream.receive(rest, &mut |block| {
                        if result.is_ok() {
                            result = talk.block(block, event);
                        }
                    });
                    result.and(used)?
                }
                dialogue => dialogue.frames(rest, out, event)?,
            })
    }

    /// What the client remembers.
    pub(crate) fn into_memory(self) -> Memory {
        match self.dialogue {
            Dialogue::SocketIo(dialogue) => dialogue.into_memory(),
            Dialogue::V1(dialogue) => dialogue.into_memory(),
            Dialogue::SockJs(_) => Memory::default(),
            Dialogue::Plain(talk) | Dialogue::Sse(_, talk) => talk.into_memory(),
        }
    }

    /// The text that the client waits for, if the options of the run name one.
    pub(crate) fn awaited(&self) -> Option<&str> {
        match &self.dialogue {
            Dialogue::Plain(talk) | Dialogue::Sse(_, talk) if self.is_open => talk.awaited(),
            _ => None,
        }
    }

    /// Whether the WebSocket of a session that began by polling may take over.
    pub(crate) fn is_probed(&self) -> bool {
        matches!(&self.dialogue, Dialogue::SocketIo(dialogue) if dialogue.is_probed())
    }

    /// The WebSocket of a session that began by polling takes over: no poll waits any more.
    pub(crate) fn upgrade(&mut self, out: &mut Vec<u8>) {
        if let Dialogue::SocketIo(dialogue) = &mut self.dialogue {
            dialogue.upgrade(out);
        }
    }

    /// Whether the client receives events from now on.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.dialogue {
            Dialogue::SocketIo(dialogue) => dialogue.is_ready(),
            Dialogue::V1(dialogue) => dialogue.is_ready(),
            Dialogue::SockJs(dialogue) => dialogue.is_ready(),
            Dialogue::Plain(talk) => self.is_open && talk.is_ready(),
            Dialogue::Sse(_, talk) if talk.waits() => self.is_open && talk.is_ready(),
            Dialogue::Sse(stream, _) => stream.is_ready(),
        }
    }
}

impl Dialogue {
    /// The answer to the request has arrived.
    fn open(&mut self, is_chunked: bool, out: &mut Vec<u8>) {
        match self {
            Self::Plain(talk) => talk.open(out),
            Self::Sse(stream, talk) => {
                stream.open(is_chunked);
                talk.open(out);
            }
            Self::SocketIo(dialogue) => dialogue.open(out),
            Self::V1(_) | Self::SockJs(_) => {}
        }
    }

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
            Self::Plain(talk) | Self::Sse(_, talk) => talk.frame(text, out, event),
        }
    }
}

#[cfg(test)]
mod tests;
