//! How clients of the generator speak: one file per transport.
//!
//! A conversation is pure: bytes in, bytes out, no socket. To add a transport write its file and
//! add it to both enums here.

mod frames;
mod socketio;

/// What clients connect with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Socket.IO over WebSocket, version 4 of Engine.IO
    #[value(name = "socketio")]
    SocketIo,
}

/// What one client and the server say.
#[derive(Debug)]
pub(crate) enum Conversation {
    SocketIo(socketio::Conversation),
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

impl Conversation {
    /// A conversation that has not begun, of a client that joins `channel` if there is one.
    pub(crate) fn new(transport: Transport, channel: Option<String>) -> Self {
        match transport {
            Transport::SocketIo => Self::SocketIo(socketio::Conversation::new(channel)),
        }
    }

    /// What the client says first.
    pub(crate) fn opening(&self, authority: &str) -> Vec<u8> {
        match self {
            Self::SocketIo(_) => socketio::opening(authority),
        }
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
        match self {
            Self::SocketIo(conversation) => conversation.receive(input, out, event),
        }
    }

    /// Whether the client receives events from now on.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::SocketIo(conversation) => conversation.is_ready(),
        }
    }
}
