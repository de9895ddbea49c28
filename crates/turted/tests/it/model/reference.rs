//! What the server should do, as simply as it can be said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// All connections that there should be.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) connections: BTreeMap<usize, Member>,
}

#[derive(Default)]
pub(crate) struct Member {
    pub(crate) user: Option<&'static str>,
    pub(crate) channels: BTreeSet<&'static str>,
    /// The number of each dispatch and why it comes, in order.
    pub(crate) expected: Vec<(u64, Value)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Push {
    pub(crate) number: u64,
    pub(crate) users: Vec<&'static str>,
    pub(crate) channels: Vec<&'static str>,
    pub(crate) broadcast: bool,
}

impl Push {
    pub(crate) fn via(&self, member: &Member) -> Option<Value> {
        let user =
            self.users.iter().find(|user| member.user == Some(*user)).map(|user| json!({"user": user}));
        let channel = || self.channels.iter().find(|channel| member.channels.contains(*channel));
        let channel = || channel().map(|channel| json!({"channel": channel}));
        user.or_else(channel).or_else(|| self.broadcast.then(|| json!({"broadcast": true})))
    }
}

impl Model {
    /// How many connections the dispatch reaches.
    pub(crate) fn push(&mut self, push: &Push) -> usize {
        let mut reached = 0;
        for member in self.connections.values_mut() {
            if let Some(via) = push.via(member) {
                member.expected.push((push.number, via));
                reached += 1;
            }
        }
        reached
    }
}
