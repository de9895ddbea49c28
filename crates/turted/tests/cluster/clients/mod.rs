//! Clients that come back to any node, backends that push to any node, and who judges what came of it.
//!
//! | file | subject |
//! |---|---|
//! | `backends` | backends that push and note what they were answered |
//! | `checker` | what was lost, doubled, reordered, or went to the wrong client |
//! | `client` | one client that loses its connection and comes back |
//! | `crowd` | many of them |
//! | `http` | a request that waits for nothing else |
//! | `journal` | what a client has heard |
//! | `socketio` | a client of Socket.IO by polling |
//! | `sockjs` | a session of SockJS by `xhr_streaming` |
//! | `sse` | a client of event streams |
//! | `v1` | a client of turted.v1, over WebSocket and in SockJS |
//! | `way` | how a client connects, and to which nodes its requests go |
//! | `wire` | a WebSocket that waits for nothing else |

pub(crate) mod backends;
pub(crate) mod checker;
pub(crate) mod client;
pub(crate) mod crowd;
mod http;
pub(crate) mod journal;
mod socketio;
mod sockjs;
pub(crate) mod sse;
mod v1;
mod way;
mod wire;

pub(crate) use backends::Backends;
pub(crate) use checker::{Findings, check};
pub(crate) use crowd::Crowd;
pub(crate) use way::Way;

use std::fmt;

use serde_json::{Value, json};

/// Whom a push is for, and why a client receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    User(usize),
    Channel(usize),
    Everyone,
}

impl Target {
    /// What `via` of an event says.
    fn parse(via: &Value) -> Option<Self> {
        let number = |key: &str| via.get(key)?.as_str()?.get(1..)?.parse().ok();
        let everyone = || via.get("broadcast").map(|_| Self::Everyone);
        number("user").map(Self::User).or_else(|| number("channel").map(Self::Channel)).or_else(everyone)
    }

    /// `targets` of a push.
    pub(crate) fn json(self) -> Value {
        match self {
            Self::User(_) => json!({"user": self.to_string()}),
            Self::Channel(_) => json!({"channel": self.to_string()}),
            Self::Everyone => json!({"broadcast": true}),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(number) => write!(formatter, "u{number}"),
            Self::Channel(number) => write!(formatter, "c{number}"),
            Self::Everyone => write!(formatter, "everyone"),
        }
    }
}

/// Who a client is: each has a user and two channels, which it shares with some others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) user: usize,
    pub(crate) channels: [usize; 2],
}

impl Member {
    /// Connections of one user.
    const PER_USER: usize = 2;
    /// Members of a channel.
    const PER_CHANNEL: usize = 8;

    /// The client with this number, of so many.
    pub(crate) fn of(number: usize, count: usize) -> Self {
        let channels = (count / Self::PER_CHANNEL).max(2);
        let second = (number * 7 + number / channels) % channels;
        Self { user: number / Self::PER_USER, channels: [number % channels, channels + second] }
    }

    /// The targets that there are for so many clients, but for everyone.
    pub(crate) fn targets(count: usize) -> Vec<Target> {
        let users = (0..count.div_ceil(Self::PER_USER)).map(Target::User);
        users.chain((0..2 * (count / Self::PER_CHANNEL).max(2)).map(Target::Channel)).collect()
    }

    pub(crate) fn receives(&self, target: Target) -> bool {
        match target {
            Target::User(user) => user == self.user,
            Target::Channel(channel) => self.channels.contains(&channel),
            Target::Everyone => true,
        }
    }
}
