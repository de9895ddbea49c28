//! What a run does: whom it loads, with how much, for how long.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use super::transport::Transport;
use crate::config::Secret;

/// Connections of one run; the addresses of the loopback network hold more, descriptors less.
pub(crate) const CONNECTIONS_MAX: usize = 1_000_000;
/// Channels of one run.
pub(crate) const CHANNELS_MAX: usize = 1_000_000;
/// Dispatches outstanding at once; also what a run at a fixed rate may fall behind.
pub(crate) const OUTSTANDING_MAX: usize = 4_096;
/// Dispatches per second of a run at a fixed rate; one connection does not push more.
pub(crate) const RATE_MAX: u32 = 1_000_000;
/// The longest run.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(60 * 60);
/// Bytes of the longest payload, as a server with default limits takes it.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1024 * 1000;
/// Connections that push at once.
pub(crate) const PUSHERS_MAX: usize = 64;
/// Threads that hold connections.
pub(crate) const THREADS_MAX: usize = 64;
/// Connections opened and closed by one run.
pub(crate) const CHURN_MAX: usize = 10_000_000;

/// Stands for the name of a channel in a path.
pub(crate) const CHANNEL: &str = "{channel}";

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) transport: Transport,
    pub(crate) clients: Clients,
    pub(crate) spread: Spread,
    pub(crate) load: Load,
    pub(crate) duration: Duration,
    pub(crate) payload_bytes: usize,
    pub(crate) pushers: usize,
    /// The server's process, to read its use of CPU and memory.
    pub(crate) process: Option<u32>,
}

/// The server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Host and port as the URL has them.
    pub(crate) authority: String,
    /// Where clients connect; `{channel}` in it is replaced.
    pub(crate) path: String,
    /// Where pushes go; `{channel}` in it is replaced.
    pub(crate) push_path: String,
    pub(crate) password: Option<Secret>,
}

impl Target {
    /// Where pushes to a channel go. Some servers have a path for each.
    pub(crate) fn push_path(&self, channel: Option<&str>) -> Cow<'_, str> {
        match channel {
            Some(channel) if self.push_path.contains(CHANNEL) => {
                Cow::Owned(self.push_path.replace(CHANNEL, channel))
            }
            _ => Cow::Borrowed(&self.push_path),
        }
    }
}

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clients {
    /// Connections that read.
    pub(crate) reading: usize,
    /// Connections that join and then never read.
    pub(crate) stalled: usize,
    /// Connections that are opened and closed before all others.
    pub(crate) churned: usize,
    pub(crate) threads: usize,
}

/// Who receives a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Everyone.
    Broadcast,
    /// One of so many channels in turn; each connection is in one of them.
    Channels(usize),
}

impl Spread {
    /// How many groups of connections there are.
    pub(crate) fn groups(self) -> usize {
        match self {
            Self::Broadcast => 1,
            Self::Channels(channels) => channels,
        }
    }

    /// The name of the channel that a group joins.
    pub(crate) fn channel(self, group: usize) -> Option<String> {
        match self {
            Self::Broadcast => None,
            Self::Channels(_) => Some(format!("bench-{group}")),
        }
    }
}

/// When the next dispatch is pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// As soon as fewer than so many are outstanding (closed loop).
    Inflight(usize),
    /// So many per second, whatever the server does (open loop).
    Rate(u32),
}
