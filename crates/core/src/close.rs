//! Why a connection ends, and what that means to the client.
//!
//! Codes 4000 to 4099 end for good, 4100 to 4199 invite the client to come back.

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client said good-bye.
    ByClient,
    /// The transport broke or was closed under the session.
    TransportLost,
    /// No heartbeat came in time.
    PingTimeout,
    /// The client never sent its first packet.
    ConnectTimeout,
    /// The client broke a rule of the protocol; the WebSocket close code says which kind.
    Violation(u16),
    /// The client sent more messages than it may.
    RateLimited,
    /// The client does not read what it is sent.
    SlowReader,
    /// Two polling requests of one kind were under way at once.
    PollingConflict,
    /// Another client needed the place of a session that nobody came back to after its handshake.
    GaveWay,
    /// The session was resumed on another connection: its client came back before this one was known to be dead,
    /// or two clients share it.
    Superseded,
    /// The server is stopping.
    Drain,
    /// A proof of who the client is has expired, where it cannot be replaced by a new one.
    Expired,
    /// What the client connected to has no more use for it, and says so in these words.
    ByService(u16, &'static str),
}

impl Close {
    /// The WebSocket close code; `None` where a close frame cannot arrive or is not owed.
    #[must_use]
    pub fn code(self) -> Option<u16> {
        match self {
            Self::ByClient => Some(1000),
            Self::TransportLost | Self::PingTimeout | Self::PollingConflict | Self::GaveWay => None,
            // Whoever came back on it would take the session over in turn: two pages that share one, for ever.
            Self::Superseded => Some(4001),
            Self::ConnectTimeout | Self::RateLimited | Self::Expired => Some(1008),
            Self::Violation(code) | Self::ByService(code, _) => Some(code),
            Self::SlowReader => Some(4101),
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
            Self::Drain => "the server is stopping",
            Self::Expired => "token expired",
            Self::ByService(_, reason) => reason,
        }
    }

    /// Whether the session may be recovered: the client did not mean to leave and broke no rule.
    #[must_use]
    pub fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportLost
                | Self::PingTimeout
                | Self::SlowReader
                | Self::PollingConflict
                | Self::Superseded
                | Self::Drain
        )
    }
}
