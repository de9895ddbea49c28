//! Appends to the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use super::super::{Append, Appended, Failure, Reign, State, Writer};
use super::client::{Client, accepted, failure, is_elsewhere, one, said, unknown};
use super::shared::Shared;
use super::state::{Look, id, position};

/// How long replicas may take.
const REPLICAS_WAIT: Duration = Duration::from_secs(1);

/// A connection that appends.
pub(crate) struct RedisWriter {
    client: Client,
    shared: Arc<Shared>,
}

impl RedisWriter {
    pub(super) fn new(client: Client, shared: Arc<Shared>) -> Self {
        Self { client, shared }
    }

    /// Deletes what a trial has left.
    pub(super) async fn delete(&mut self, keys: &[&str]) -> Result<(), Failure> {
        self.client.accepted(&[&["DEL"], keys].concat()).await.map(drop)
    }

    /// Adds the command that appends a push. Returns whether it is a script.
    fn add(&mut self, next: &str, push: &Append<'_>, has_script: bool) -> bool {
        let Shared { keys, scripts, owner, .. } = &*self.shared;
        if let (Append { key: None, holds: None, .. }, [entry]) = (push, push.entries) {
            self.client.add([b"XADD", keys.log.as_bytes(), b"NOMKSTREAM", next.as_bytes(), b"d", entry]);
            return has_script;
        }
        let key = push.key.map(|(name, _, _)| keys.value(name));
        let held = push.holds.map(|name| keys.value(name));
        let (kept, age) = push.key.map_or((&b""[..], Duration::ZERO), |(_, kept, age)| (kept, age));
        let count = (1 + usize::from(key.is_some()) + usize::from(held.is_some())).to_string();
        let age = age.as_millis().max(1).to_string();
        let flag = |is_set: bool| if is_set { &b"1"[..] } else { b"0" };
        let mut command: Vec<&[u8]> = Vec::with_capacity(12 + push.entries.len());
        command.extend(scripts.append.run(!has_script).map(str::as_bytes));
        command.extend([count.as_bytes(), keys.log.as_bytes()]);
        command.extend(key.iter().chain(&held).map(|name| name.as_bytes()));
        command.extend([next.as_bytes(), owner, flag(key.is_some()), flag(held.is_some())]);
        command.extend([kept, age.as_bytes()]);
        command.extend(push.entries.iter().map(|entry| &**entry));
        self.client.add(command);
        true
    }
}

impl Writer for RedisWriter {
    async fn state(&mut self) -> Result<State, Failure> {
        Look::before_appending(&mut self.client, &self.shared).await
    }

    async fn append(
        &mut self,
        epoch: u64,
        pushes: &[Append<'_>],
        replicas: u32,
    ) -> Result<Vec<Appended>, Failure> {
        let next = format!("{epoch}-*");
        let mut has_script = false;
        for push in pushes {
            has_script = self.add(&next, push, has_script);
        }
        let waits = replicas > 0;
        if waits {
            let wait = REPLICAS_WAIT.as_millis().to_string();
            self.client.add(["WAIT", &replicas.to_string(), &wait]);
        }
        let patience = if waits { REPLICAS_WAIT } else { Duration::ZERO };
        let mut replies = self.client.replies(pushes.len() + usize::from(waits), patience).await?;
        let is_replicated = match waits.then(|| replies.pop()).flatten().map(accepted).transpose()? {
            None => true,
            Some(Reply::Integer(reached)) => reached >= i64::from(replicas),
            Some(_) => return Err(unknown("WAIT")),
        };
        let appended = replies.into_iter().map(appended).map(|appended| match appended? {
            Appended::At(at) if !is_replicated => Ok(Appended::Unreplicated(at)),
            Appended::Known(..) if !is_replicated => Ok(Appended::KnownUnreplicated),
            appended => Ok(appended),
        });
        appended.collect()
    }

    async fn begin(&mut self, seen: &State, begun: &Reign, entry: &[u8]) -> Result<bool, Failure> {
        let numbers =
            |reign: &Reign| [reign.epoch.to_string(), reign.first.to_string(), reign.process.clone()];
        let expected = seen.reign.as_ref().map(numbers).unwrap_or_default();
        let (last, begun) = (seen.last.map(id).unwrap_or_default(), numbers(begun));
        let Shared { keys, scripts, .. } = &*self.shared;
        let mut command: Vec<&[u8]> = scripts.begin.run_alone().map(str::as_bytes).to_vec();
        command.extend(["2", &keys.log, &keys.reign].map(str::as_bytes));
        command.extend(expected.iter().chain(&begun).chain([&last]).map(|part| part.as_bytes()));
        command.push(entry);
        self.client.add(command);
        match accepted(one(self.client.replies(1, Duration::ZERO).await?)?)? {
            Reply::Integer(begun) => Ok(begun == 1),
            _ => Err(unknown("EVAL")),
        }
    }

    async fn trim(&mut self, first: Cursor) -> Result<(), Failure> {
        let command = ["XTRIM", &*self.shared.keys.log, "MINID", &id(first)];
        self.client.accepted(&command).await.map(drop)
    }

    async fn entry(&mut self, at: Cursor) -> Result<Option<Bytes>, Failure> {
        let at = id(at);
        let reply = self.client.accepted(&["XRANGE", &self.shared.keys.log, &at, &at]).await?;
        let entries = super::reader::entries(reply).ok_or_else(|| unknown("XRANGE"))?;
        // One that is not of our form is there, though it has no bytes.
        Ok(entries.read.into_iter().next().map(|(_, value)| value.unwrap_or_default()))
    }
}

/// Reads what became of a push.
fn appended(reply: Reply) -> Result<Appended, Failure> {
    match reply {
        Reply::Error(error) if is_elsewhere(&error) => Err(failure(&error)),
        Reply::Error(error) if is_stale(&error) => Ok(Appended::Stale),
        Reply::Error(error) => Ok(Appended::Refused(said(&error))),
        // XADD answers so, and the script with a word.
        Reply::Nil => Ok(Appended::Gone),
        Reply::Text(text) => match &*text {
            b"GONE" => Ok(Appended::Gone),
            b"NOTHELD" => Ok(Appended::NotHeld),
            id => position(id).map(Appended::At).ok_or_else(|| unknown("XADD")),
        },
        Reply::Array(values) => known(values).ok_or_else(|| unknown("EVAL")),
        _ => Err(unknown("XADD")),
    }
}

/// `The ID specified in XADD is equal or smaller than the target stream top item`.
fn is_stale(error: &[u8]) -> bool {
    error.starts_with(b"ERR The ID specified in XADD")
}

/// Reads `<id> <what is kept>`.
fn known(values: Vec<Reply>) -> Option<Appended> {
    let known = match values.into_iter().next()? {
        Reply::Text(known) => known,
        // More than ours: somebody else wrote it.
        Reply::TooLarge => return Some(Appended::Refused("the value of the key is too large".to_owned())),
        _ => return None,
    };
    let space = known.iter().position(|byte| *byte == b' ')?;
    Some(Appended::Known(position(&known[..space])?, known.slice(space + 1..)))
}
