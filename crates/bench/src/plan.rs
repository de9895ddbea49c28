//! What a run does: which server it loads, how much and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use super::channel::Tls;
use super::protocol::Protocol;
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
/// Dispatches that are pushed around a return, over all channels: the board has a place for each.
pub const TOLD_MAX: usize = 32 * 1024;
/// Connections opened and closed by one run.
pub const CHURN_MAX: usize = 10_000_000;

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server that is loaded.
    pub target: Target,
    /// What is said to it.
    pub protocol: Protocol,
    /// How many clients connect.
    pub clients: Clients,
    /// Which connections receive a dispatch.
    pub spread: Spread,
    /// Which channel the next dispatch goes to.
    pub turn: Turn,
    /// Channels that each client joins. One of them is pushed to.
    pub joins: usize,
    /// When the next dispatch is pushed.
    pub load: Load,
    /// How long the connections that read are left alone before the first push.
    pub idle: Duration,
    /// Events that each client misses while all of them have lost their connections; 0 loses none.
    pub missed: u32,
    /// How long the run pushes.
    pub duration: Duration,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Connections that push.
    pub pushers: usize,
    /// The server's process, to read its use of CPU and memory.
    pub process: Option<u32>,
    /// How long the run waits for what does not come: an answer, a delivery.
    pub patience: Duration,
}

impl Plan {
    /// Dispatches that each client is told around its return: one before, and those that it misses.
    pub(crate) fn told_to_each(&self) -> u32 {
        if self.missed == 0 { 0 } else { self.missed + 1 }
    }

    /// Dispatches around the return of all clients. They have the first numbers.
    pub(crate) fn told(&self) -> u32 {
        let groups = u32::try_from(self.spread.groups()).unwrap_or(u32::MAX);
        self.told_to_each().saturating_mul(groups)
    }

    /// The number of the first dispatch of the load. It is one of the first pusher.
    pub(crate) fn first(&self) -> u32 {
        let pushers = u32::try_from(self.pushers).unwrap_or(u32::MAX);
        self.told().next_multiple_of(pushers.max(1))
    }
}

/// The server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Host and port as the URL has them.
    pub authority: String,
    /// Set if it speaks TLS.
    pub tls: Option<Tls>,
    /// The password that a push carries.
    pub password: Option<Secret>,
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
    /// Connections that each thread opens at once.
    pub opening: usize,
}

/// Which connections receive a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Every connection.
    Broadcast,
    /// The connections of one of so many channels; each connection is in one of them.
    Channels(usize),
    /// Every connection of so many users, by name: each connection is a user of its own.
    Users(usize),
}

impl Spread {
    /// How many groups of connections there are.
    pub fn groups(self) -> usize {
        match self {
            Self::Broadcast | Self::Users(_) => 1,
            Self::Channels(channels) => channels,
        }
    }

    /// The name of the channel that a group joins.
    pub fn channel(self, group: usize) -> Option<String> {
        match self {
            Self::Broadcast | Self::Users(_) => None,
            Self::Channels(_) => Some(format!("bench-{group}")),
        }
    }

    /// The name of the user that a client is.
    pub fn user(self, index: usize) -> Option<String> {
        match self {
            Self::Users(_) => Some(format!("bench-{index}")),
            Self::Broadcast | Self::Channels(_) => None,
        }
    }
}

/// Which channel the next dispatch goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The one after the last.
    Next,
    /// Any of them: a server cannot profit from what it did shortly before. Runs draw the same channels.
    Random,
}

impl Turn {
    /// The group that receives a dispatch.
    pub fn group(self, number: u32, groups: usize) -> usize {
        match self {
            Self::Next => number as usize % groups,
            Self::Random => {
                let groups = groups as u64;
                usize::try_from(mix(number) % groups).expect("less than the groups")
            }
        }
    }
}

/// A number without a pattern: the output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(number: u32) -> u64 {
    let mut z = u64::from(number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// When the next dispatch is pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// As soon as fewer than so many dispatches are outstanding (closed loop).
    Inflight(usize),
    /// So many per second, however the server responds (open loop).
    Rate(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_share_of_random_dispatches_and_the_order_has_no_pattern() {
        let groups: Vec<_> = (0..8_000).map(|number| Turn::Random.group(number, 8)).collect();
        for group in 0..8 {
            let share = groups.iter().filter(|&&drawn| drawn == group).count();
            assert!((900..1_100).contains(&share), "{group}: {share}");
        }
        let next = groups.windows(2).filter(|pair| pair[1] == (pair[0] + 1) % 8).count();
        assert!((900..1_100).contains(&next), "{next} follow in turn");
        assert_eq!([6, 7, 8].map(|number| Turn::Next.group(number, 8)), [6, 7, 0]);
    }
}
