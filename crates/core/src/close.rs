//! Why a connection ends, and what that means to the client.
//!
//! Codes 4000 to 4099 end for good, 4100 to 4199 invite the client to come back.

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client ended it.
    ByClient,
    /// The connection below the session broke or was closed.
    TransportLost,
    /// No answer to a heartbeat came in time.
    PingTimeout,
    /// The client never sent its first packet.
    ConnectTimeout,
    /// The client broke a rule of the protocol; the WebSocket close code says which kind.
    Violation(u16),
    /// The client sent more messages than it may.
    RateLimited,
    /// The client does not read fast enough what it is sent.
    SlowReader,
    /// Two polling requests of one kind were under way at once.
    PollingConflict,
    /// Another client needed the place of a session that its client did not come back to after the handshake.
    GaveWay,
    /// The session was resumed on another connection: the client came back before this connection was known
    /// to be dead, or two clients share the session.
    Superseded,
    /// The disk of the log does not answer, so that what the client asked for cannot be recorded.
    LogSlow,
    /// The server is stopping.
    Drain,
    /// A proof of the client's identity has expired, on a transport where the client cannot send a new one.
    Expired,
    /// An operator ended it, and the session with it: the client is not to come back.
    OperatorEnded,
    /// An operator cut it: the client comes back.
    OperatorCut,
    /// The service that the client is connected to ends the connection, with this code and this reason.
    ByService(u16, &'static str),
}

/// Why a connection ends, and the words in which its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing<'a> {
    /// Why it ends.
    pub close: Close,
    /// What is said of it: [`Close::reason`], or what an operator wrote.
    pub reason: &'a str,
}

impl From<Close> for Closing<'_> {
    fn from(close: Close) -> Self {
        Self { close, reason: close.reason() }
    }
}

impl Close {
    /// The WebSocket close code; `None` where no close frame can arrive or none is needed.
    #[must_use]
    pub fn code(self) -> Option<u16> {
        match self {
            Self::ByClient => Some(1000),
            Self::TransportLost | Self::PingTimeout | Self::PollingConflict | Self::GaveWay => None,
            // A code that invites the client to come back would make two pages that share a session take it
            // from each other for ever.
            Self::Superseded => Some(4001),
            Self::OperatorEnded => Some(4000),
            Self::OperatorCut => Some(4100),
            Self::ConnectTimeout | Self::RateLimited | Self::Expired => Some(1008),
            Self::Violation(code) | Self::ByService(code, _) => Some(code),
            Self::SlowReader => Some(4101),
            Self::LogSlow => Some(4102),
            Self::Drain => Some(1012),
        }
    }

    /// A short text for the close frame and the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ByClient => "closed by the client",
            Self::TransportLost => "transport lost",
            Self::PingTimeout => "ping timeout",
            Self::ConnectTimeout => "no first packet in time",
            Self::Violation(1009) => "message too large (limits.message_bytes)",
            Self::Violation(_) => "protocol violation",
            Self::RateLimited => "too many messages",
            Self::SlowReader => "slow reader",
            Self::PollingConflict => "two polling requests at once",
            Self::GaveWay => "gave way to another session",
            Self::Superseded => "the session goes on elsewhere",
            Self::LogSlow => "the log does not answer",
            Self::Drain => "the server is stopping",
            Self::Expired => "token expired",
            Self::OperatorEnded => "ended by an operator",
            Self::OperatorCut => "disconnected by an operator",
            Self::ByService(_, reason) => reason,
        }
    }

    /// Whether the session may be recovered: the client did not end it and broke no rule.
    #[must_use]
    pub fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportLost
                | Self::PingTimeout
                | Self::SlowReader
                | Self::PollingConflict
                | Self::Superseded
                | Self::LogSlow
                | Self::OperatorCut
                | Self::Drain
        )
    }
}
