//! What the server should do, as simply as it can be said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// All connections that there should be.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) connections: BTreeMap<usize, Member>,
    /// The numbers of all dispatches to a channel.
    pub(crate) history: BTreeMap<&'static str, Vec<u64>>,
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

/// How many of its last events each channel keeps.
pub(crate) const HISTORY: usize = 8;

impl Model {
    /// Lets a connection join a channel. Returns how many events of its history come first, and whether these are as many as
    /// the connection could get.
    pub(crate) fn join(&mut self, id: usize, channel: &'static str, wanted: usize) -> (usize, bool) {
        let member = self.connections.get_mut(&id).expect("a connection of the model");
        if !member.channels.insert(channel) {
            return (0, false);
        }
        let all = self.history.get(channel).map_or(&[][..], |all| all);
        let most = wanted.min(HISTORY);
        let last = &all[all.len().saturating_sub(most)..];
        member.expected.extend(last.iter().map(|number| (*number, json!({"channel": channel}))));
        (last.len(), last.len() == most)
    }

    /// How many connections the dispatch reaches.
    pub(crate) fn push(&mut self, push: &Push) -> usize {
        for channel in push.channels.iter().collect::<BTreeSet<_>>() {
            self.history.entry(channel).or_default().push(push.number);
        }
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
