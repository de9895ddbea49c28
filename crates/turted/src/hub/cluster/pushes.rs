//! The pushes of this node that are on their way into the log: from when the writer takes them to when their backends are told
//! what became of them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use turted_core::cluster::entry::Body;
use turted_core::cluster::head::Read;
use turted_core::cluster::key::{self, KnownPush};
use turted_core::cursor::Cursor;

use super::mistake::{Mistake, makes};
use super::node::{Node, Underway};
use super::reader;
use super::view::position;
use crate::engine::{Append, Appended, Engine};
use crate::hub::dispatch::dispatcher::DispatchRefusal;
use crate::hub::dispatch::feed::{Feed, Taken};
use crate::hub::dispatch::queue::PushedKey;
use crate::hub::dispatch::receipt::{Positions, Unsettled};

/// How long a push may take, from when it is taken.
pub(super) const PUSH_MAX: Duration = Duration::from_secs(2);

/// A push on its way into the log.
struct Push {
    entries: Vec<Bytes>,
    /// The tag of its first entry. The others follow.
    tag: u64,
    key: Option<PushKey>,
    holds: Option<Arc<str>>,
    unsettled: Unsettled,
    since: Instant,
    /// Whether it was sent, and nothing is known of it.
    is_uncertain: bool,
    /// The epoch under which it was sent last.
    epoch: u64,
}

/// The key of a push, as the engine keeps it.
struct PushKey {
    name: String,
    value: Vec<u8>,
    body: [u8; 32],
}

impl Push {
    fn tags(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.tag;
        (0..self.entries.len() as u64).map(move |place| first.wrapping_add(place))
    }

    fn positions(&self, first: Cursor) -> Positions {
        Positions::new(first, self.entries.len())
    }
}

/// The pushes that are on their way, in their order.
pub(super) struct Pushes<E> {
    node: Rc<Node<E>>,
    pushes: Vec<Push>,
}

impl<E: Engine> Pushes<E> {
    pub(super) fn new(node: Rc<Node<E>>) -> Self {
        Self { node, pushes: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pushes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.pushes.len()
    }

    /// Makes pushes of what was taken.
    pub(super) fn take(&mut self, taken: Vec<Taken>) {
        let now = Instant::now();
        for Taken { dispatches, own, key, holds, unsettled } in taken {
            let count = dispatches.len();
            let (mut entries, mut tag) = (Vec::with_capacity(count), 0);
            for (dispatch, own) in dispatches.into_iter().zip(own) {
                let body = Body::Dispatch { counted: own.reached.is_some(), dispatch };
                let (entry, next) = self.node.encode(body);
                let underway =
                    Underway { own: Some(own), since: now, stands: None, read_at: None, is_settled: false };
                self.node.own.borrow_mut().insert(next, underway);
                if entries.is_empty() {
                    tag = next;
                }
                entries.push(entry);
            }
            let key = key.map(|key| kept(&key));
            self.pushes.push(Push {
                entries,
                tag,
                key,
                holds,
                unsettled,
                since: now,
                is_uncertain: false,
                epoch: 0,
            });
        }
        self.node.feed.done();
    }

    /// What is sent to the engine under an epoch. Nothing is known of it from now on.
    pub(super) fn send(&mut self, epoch: u64) -> impl Iterator<Item = Append<'_>> {
        self.pushes.iter_mut().for_each(|push| (push.is_uncertain, push.epoch) = (true, epoch));
        let age = self.node.settings.key_age;
        self.pushes.iter().map(move |push| {
            let key = push.key.as_ref().map(|key| (key.name.as_str(), key.value.as_slice(), age));
            Append { entries: &push.entries, key, holds: push.holds.as_deref() }
        })
    }

    /// Refuses what has waited too long for a connection.
    pub(super) fn expire(&mut self, since: Instant) {
        if since.elapsed() >= PUSH_MAX {
            self.refuse_waiting();
        }
        self.expire_taken();
    }

    /// Refuses everything: there will be no connection.
    pub(super) fn refuse_all(&mut self) {
        self.refuse_waiting();
        let all = std::mem::take(&mut self.pushes);
        self.give_up(all);
    }

    /// Refuses what waits to be taken, and what is pushed from now on.
    fn refuse_waiting(&self) {
        self.node.feed.refuse(true);
        loop {
            // So much as is written at once.
            let waiting = self.node.feed.take_now();
            self.node.feed.done();
            if waiting.is_empty() {
                return;
            }
            Feed::settle(
                waiting.into_iter().map(|taken| (taken.unsettled, Err(DispatchRefusal::LogUnavailable))),
            );
        }
    }

    /// Refuses pushes that were taken too long ago.
    fn expire_taken(&mut self) {
        let (old, young) = std::mem::take(&mut self.pushes)
            .into_iter()
            .partition(|push: &Push| push.since.elapsed() >= PUSH_MAX);
        self.pushes = young;
        self.give_up(old);
    }

    /// These pushes are refused. What is uncertain may be read back all the same.
    fn give_up(&mut self, pushes: Vec<Push>) {
        for push in &pushes {
            match push.is_uncertain {
                true => self.is_settled(push),
                false => self.forget(push),
            }
        }
        Feed::settle(pushes.into_iter().map(|push| (push.unsettled, Err(DispatchRefusal::LogUnavailable))));
    }

    /// Nobody waits for the entries of a push any more; they may still be read back.
    fn is_settled(&self, push: &Push) {
        let mut own = self.node.own.borrow_mut();
        for tag in push.tags() {
            match own.get_mut(&tag) {
                Some(underway) if underway.read_at.is_some() => drop(own.remove(&tag)),
                Some(underway) => underway.is_settled = true,
                None => {}
            }
        }
    }

    fn forget(&self, push: &Push) {
        let mut own = self.node.own.borrow_mut();
        push.tags().for_each(|tag| drop(own.remove(&tag)));
    }

    /// Reads on up to what the log had when the connection was made: a push that was sent before is in it or not. If an epoch
    /// has begun since it was sent, the log may have lost it after others, or this node, have read it: then it is neither
    /// accepted nor appended anew. How many replicas have what was read back is not known.
    pub(super) async fn resolve(&mut self, epoch: u64, last: Option<Cursor>) {
        if !self.pushes.iter().any(|push| push.is_uncertain) {
            return;
        }
        if makes(Mistake::RepeatsWithoutReading) {
            return self.pushes.iter_mut().for_each(|push| push.is_uncertain = false);
        }
        let deadline =
            self.pushes.iter().map(|push| push.since).min().unwrap_or_else(Instant::now) + PUSH_MAX;
        let node = Rc::clone(&self.node);
        let has_read = || last.is_none_or(|last| node.view.borrow().has_read(last));
        let reading = async {
            while !has_read() {
                node.progress.notified().await;
            }
        };
        if timeout_at(deadline, reading).await.is_err() {
            let all = std::mem::take(&mut self.pushes);
            return self.give_up(all);
        }
        let hole = node.view.borrow().hole;
        let may_be_gone = |push: &Push| push.epoch != epoch || hole.is_some_and(|at| at >= push.since);
        let stands =
            |at: Cursor| last.is_some_and(|last| position(at) <= position(last)) && node.feed.knows(at);
        let (mut settled, mut unknown) = (Vec::new(), Vec::new());
        for mut push in std::mem::take(&mut self.pushes) {
            let first = node.read_back(push.tag).filter(|_| push.is_uncertain);
            match first {
                Some(at) if stands(at) => {
                    self.forget(&push);
                    let positions = push.positions(at);
                    let told = match node.settings.replicas {
                        0 => Ok(positions),
                        _ => Err(DispatchRefusal::LogUnavailable),
                    };
                    settled.push((push.unsettled, told));
                }
                // It was among the entries that are gone.
                Some(_) => unknown.push(push),
                // It may have been among them: others may have read it.
                None if push.is_uncertain && may_be_gone(&push) => unknown.push(push),
                None => {
                    push.is_uncertain = false;
                    self.pushes.push(push);
                }
            }
        }
        Feed::settle(settled);
        self.give_up(unknown);
    }

    /// Tells what became of the pushes. Those that were not appended because another epoch has begun stay. Returns whether
    /// there are such.
    pub(super) async fn settle(&mut self, results: impl Iterator<Item = Appended>) -> bool {
        let (now, mut is_stale) = ((Instant::now(), self.node.clock.now()), false);
        let mut settled = Vec::with_capacity(self.pushes.len());
        for (mut push, result) in std::mem::take(&mut self.pushes).into_iter().zip(results) {
            let told = match result {
                Appended::At(at) => {
                    if makes(Mistake::DeliversAtOnce) {
                        self.deliver(at, &push).await;
                    }
                    self.acknowledge(at, now, &push);
                    Ok(push.positions(at))
                }
                Appended::Unreplicated(at) => {
                    self.acknowledge(at, now, &push);
                    self.node.is_unreplicated();
                    Err(DispatchRefusal::Unreplicated)
                }
                // Nothing of it was appended now.
                Appended::KnownUnreplicated => {
                    self.forget(&push);
                    Err(DispatchRefusal::Unreplicated)
                }
                Appended::Known(first, value) => {
                    self.forget(&push);
                    let known = key::decode(&value);
                    let is_same = push
                        .key
                        .as_ref()
                        .is_some_and(|key| matches!(&known, Read::Ours(known) if known.body == key.body));
                    Err(DispatchRefusal::Repeated { first, is_same })
                }
                Appended::Stale | Appended::Gone => {
                    is_stale = true;
                    push.is_uncertain = false;
                    self.pushes.push(push);
                    continue;
                }
                // Nothing of it was appended now.
                Appended::NotHeld | Appended::Refused(_) => {
                    if let Appended::Refused(reason) = &result {
                        self.node.feed.health().is_refusing(reason);
                    }
                    self.forget(&push);
                    Err(DispatchRefusal::LogUnavailable)
                }
            };
            settled.push((push.unsettled, told));
        }
        Feed::settle(settled);
        if !self.pushes.is_empty() {
            self.expire_taken();
        }
        is_stale
    }

    /// Hands a push over before it is read, by mistake.
    async fn deliver(&self, at: Cursor, push: &Push) {
        let entries = push.positions(at).iter().zip(push.entries.iter().cloned().map(Some));
        drop(reader::take(&self.node, entries.collect()).await);
    }

    /// A push stands in the log. If that position was read before, and was another entry, it is given for the second time.
    fn acknowledge(&self, at: Cursor, (now, written): (Instant, Duration), push: &Push) {
        let (mut view, mut own) = (self.node.view.borrow_mut(), self.node.own.borrow_mut());
        let mut is_read = false;
        for tag in push.tags() {
            let Some(underway) = own.get_mut(&tag) else { continue };
            if underway.read_at.is_some() {
                is_read |= tag == push.tag;
                own.remove(&tag);
            } else {
                (underway.stands, underway.is_settled) = (Some((at, now)), true);
            }
        }
        if !is_read && view.has_read(at) {
            let written = view.written;
            view.wants_epoch(written);
        }
        view.acknowledge(at, written);
    }
}

/// The key of a push, as the engine keeps it.
fn kept(key: &PushedKey) -> PushKey {
    PushKey { name: name_of(key), value: KnownPush { body: key.body }.encode(), body: key.body }
}

/// The name of a key in the engine: its text may be anything.
fn name_of(key: &PushedKey) -> String {
    use sha2::{Digest, Sha256};
    let digest =
        Sha256::new().chain_update(key.owner.as_bytes()).chain_update([0]).chain_update(&key.key).finalize();
    digest[..16].iter().fold("key:".to_owned(), |mut name, byte| {
        use std::fmt::Write;
        let _ = write!(name, "{byte:02x}");
        name
    })
}
