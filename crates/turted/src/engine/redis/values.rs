//! Small values with an age, and messages to nodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use turted_core::wire::resp::Reply;

use super::super::{Change, Changed, Failure, Values};
use super::client::{Client, failure, is_elsewhere, said, unknown};
use super::shared::Shared;

/// A connection to values.
pub(crate) struct RedisValues {
    client: Client,
    shared: Arc<Shared>,
}

impl RedisValues {
    pub(super) fn new(client: Client, shared: Arc<Shared>) -> Self {
        Self { client, shared }
    }

    /// Adds the command of a change. Returns whether a script was sent until now.
    fn add(&mut self, change: &Change<'_>, has_script: bool) -> bool {
        let none = Duration::ZERO;
        let (name, what, age, value) = match *change {
            Change::Get { name } => {
                self.client.add(["GET", &self.shared.keys.value(name)]);
                return has_script;
            }
            Change::Tell { to, message } => {
                let keys = &self.shared.keys;
                let channel = to.map_or_else(|| keys.nodes.clone(), |node| keys.node(node));
                self.client.add([b"PUBLISH", channel.as_bytes(), message]);
                return has_script;
            }
            Change::Put { name, value, age } | Change::Hold { name, value, age } => (name, "put", age, value),
            Change::Take { name, age } => (name, "take", age, &[][..]),
            Change::Delete { name } => (name, "delete", none, &[][..]),
            Change::Renew { name, age } => (name, "renew", age, &[][..]),
        };
        let Shared { keys, scripts, owner, .. } = &*self.shared;
        let [run, script] = scripts.change.run(!has_script);
        let (key, age) = (keys.value(name), age.as_millis().max(1).to_string());
        let head = [run, script, "1", &key, what].map(str::as_bytes);
        let command: [&[u8]; 8] = [head[0], head[1], head[2], head[3], head[4], owner, age.as_bytes(), value];
        self.client.add(command);
        true
    }
}

impl Values for RedisValues {
    async fn all(&mut self, changes: &[Change<'_>]) -> Result<Vec<Changed>, Failure> {
        let mut has_script = false;
        for change in changes {
            has_script = self.add(change, has_script);
        }
        let replies = self.client.replies(changes.len(), Duration::ZERO).await?;
        replies.into_iter().map(changed).collect()
    }
}

/// Reads what became of a change.
fn changed(reply: Reply) -> Result<Changed, Failure> {
    match reply {
        Reply::Error(error) if is_elsewhere(&error) => Err(failure(&error)),
        Reply::Error(error) => Ok(Changed::Refused(said(&error))),
        Reply::Nil => Ok(Changed::Missing),
        // How many have heard it.
        Reply::Integer(_) => Ok(Changed::Done),
        Reply::TooLarge => Ok(too_large()),
        Reply::Text(text) => Ok(match &*text {
            b"DONE" => Changed::Done,
            b"MISSING" => Changed::Missing,
            _ => owned(text).map_or(Changed::Missing, |(owner, value)| Changed::Value(owner, value)),
        }),
        Reply::Array(parts) => kept(parts).ok_or_else(|| unknown("EVAL")),
        Reply::NoRoom => Err(unknown("EVAL")),
    }
}

/// Reads `[VALUE, value]` and `[OWNED, value]`.
fn kept(parts: Vec<Reply>) -> Option<Changed> {
    let (word, value) = match <[Reply; 2]>::try_from(parts).ok()? {
        [Reply::Text(word), Reply::Text(value)] => (word, value),
        [Reply::Text(_), Reply::TooLarge] => return Some(too_large()),
        _ => return None,
    };
    let (owner, value) = owned(value)?;
    match &*word {
        b"VALUE" => Some(Changed::Value(owner, value)),
        b"OWNED" => Some(Changed::Owned(owner, value)),
        _ => None,
    }
}

/// Somebody else wrote it.
fn too_large() -> Changed {
    Changed::Refused("the value is too large".to_owned())
}

/// The owner of a value, and the rest. `None`: it is too short to be ours.
fn owned(mut value: Bytes) -> Option<(u64, Bytes)> {
    (value.len() >= 8).then(|| (value.get_u64(), value))
}
