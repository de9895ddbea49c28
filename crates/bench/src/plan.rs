//! What a run does: which server it loads, how much and for how long.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use super::transport::Transport;
use turted_core::secret::Secret;

/// Connections of one run. The loopback network has addresses for more, but there are fewer descriptors.
pub const CONNECTIONS_MAX: usize = 1_000_000;
/// Channels of one run.
pub const CHANNELS_MAX: usize = 1_000_000;
/// Dispatches outstanding at once; also how far a run at a fixed rate may fall behind.
pub const OUTSTANDING_MAX: usize = 4_096;
/// Dispatches per second of a run at a fixed rate. One connection cannot push more.
pub const RATE_MAX: u32 = 1_000_000;
/// The longest run.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);
/// Bytes of the longest payload that a server with default limits takes.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1000;
/// Connections that push at once.
pub const PUSHERS_MAX: usize = 64;
/// Threads that hold connections.
pub const THREADS_MAX: usize = 64;
/// Connections opened and closed by one run.
pub const CHURN_MAX: usize = 10_000_000;

/// Stands for the name of a channel in a path.
pub const CHANNEL: &str = "{channel}";

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server that is loaded.
    pub target: Target,
    /// The transport of the clients.
    pub transport: Transport,
    /// How many clients connect.
    pub clients: Clients,
    /// Which connections receive a dispatch.
    pub spread: Spread,
    /// When the next dispatch is pushed.
    pub load: Load,
    /// How long the run pushes.
    pub duration: Duration,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Connections that push.
    pub pushers: usize,
    /// The server's process, to read its use of CPU and memory.
    pub process: Option<u32>,
}

/// The server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Host and port as the URL has them.
    pub authority: String,
    /// Where clients connect; `{channel}` in it is replaced.
    pub path: String,
    /// Where pushes go; `{channel}` in it is replaced.
    pub push_path: String,
    /// The password that a push carries.
    pub password: Option<Secret>,
}

impl Target {
    /// Where pushes to a channel go. Some servers have a path for each channel.
    pub fn push_path(&self, channel: Option<&str>) -> Cow<'_, str> {
        match channel {
            Some(channel) if self.push_path.contains(CHANNEL) => {
                Cow::Owned(self.push_path.replace(CHANNEL, channel))
            }
            _ => Cow::Borrowed(&self.push_path),
        }
    }
}

/// How many clients connect.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// Connections that read.
    pub reading: usize,
    /// Connections that join and then never read.
    pub stalled: usize,
    /// Connections that are opened and closed before all others.
    pub churned: usize,
    /// Threads that hold the connections.
    pub threads: usize,
}

/// Which connections receive a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Every connection.
    Broadcast,
    /// The connections of one of so many channels, in turn; each connection is in one channel.
    Channels(usize),
}

impl Spread {
    /// How many groups of connections there are.
    pub fn groups(self) -> usize {
        match self {
            Self::Broadcast => 1,
            Self::Channels(channels) => channels,
        }
    }

    /// The name of the channel that a group joins.
    pub fn channel(self, group: usize) -> Option<String> {
        match self {
            Self::Broadcast => None,
            Self::Channels(_) => Some(format!("bench-{group}")),
        }
    }
}

/// When the next dispatch is pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// As soon as fewer than so many dispatches are outstanding (closed loop).
    Inflight(usize),
    /// So many per second, however the server responds (open loop).
    Rate(u32),
}
