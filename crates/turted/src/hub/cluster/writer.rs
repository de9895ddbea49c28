//! The writer of a cluster: appends the pushes of this node to the log of all nodes, and the heartbeats by which they know
//! that it lives.
//!
//! A push whose connection breaks before it is answered may be appended or not. The connection is ended in the engine first,
//! so that nothing of it can come later; then what the log has up to then is read, and the push is in it or not. What is not
//! is appended anew, for 2 s in all.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_local;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use turted_core::cluster::entry::Body;
use turted_core::cluster::head::Read;
use turted_core::cluster::key::{self, KnownPush};
use turted_core::cursor::Cursor;

use super::leaving;
use super::mistake::{Mistake, makes};
use super::node::{Announced, Node, Underway};
use super::reign::{Known, establish};
use crate::engine::{Append, Appended, Engine, Failure, Writer};
use crate::hub::dispatch::dispatcher::DispatchRefusal;
use crate::hub::dispatch::feed::{Feed, Taken};
use crate::hub::dispatch::queue::PushedKey;
use crate::hub::dispatch::receipt::{Positions, Unsettled};

/// Time between two heartbeats of a node.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a push may take, from when it is taken.
const PUSH_MAX: Duration = Duration::from_secs(2);
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the last word of this node may take.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// How long nothing is trimmed after a loss: this node has forgotten what it had, but others may still have to read it.
const UNTRIMMED: Duration = Duration::from_secs(20);

/// A push on its way into the log.
struct Push {
    entries: Vec<Bytes>,
    tags: Vec<u64>,
    key: Option<(String, Vec<u8>, [u8; 32])>,
    holds: Option<Arc<str>>,
    unsettled: Unsettled,
    since: Instant,
    /// Whether it was sent, and nothing is known of it.
    is_uncertain: bool,
    /// The epoch under which it was sent last.
    epoch: u64,
}

/// A connection that appends, and the epoch under which it may.
struct Connected<W> {
    writer: W,
    epoch: u64,
}

/// Appends what the dispatcher takes until it has stopped, and heartbeats until the server has told all clients.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    let left = node.status.left.clone();
    let overdue = async {
        left.cancelled().await;
        sleep(LEAVE_MAX).await;
    };
    tokio::select! {
        () = take_part(Rc::clone(&node)) => {}
        // It is told by its silence.
        () = overdue => {}
    }
    node.feed.close();
}

async fn take_part<E: Engine>(node: Rc<Node<E>>) {
    let left = node.status.left.clone();
    let mut state = State::<E> {
        node: Rc::clone(&node),
        connected: None,
        pushes: Vec::new(),
        down: None,
        is_leaving: false,
    };
    let mut ticks = interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !(state.is_leaving && left.is_cancelled()) {
        if state.connected.is_none() && !state.connect().await {
            if state.node.feed.is_stopped() {
                state.begin_to_leave();
            }
            continue;
        }
        let is_heartbeat = if state.pushes.is_empty() {
            tokio::select! {
                biased;
                () = left.cancelled(), if state.is_leaving => break,
                _ = ticks.tick() => true,
                () = node.heartbeat.notified() => true,
                () = node.writer_stuck.notified() => {
                    state.connected = None;
                    continue;
                }
                taken = node.feed.take(), if !state.is_leaving => {
                    match taken {
                        Some(taken) => state.take(taken),
                        None => state.begin_to_leave(),
                    }
                    false
                }
            }
        } else {
            false
        };
        if is_heartbeat {
            state.check().await;
        }
        state.append(is_heartbeat).await;
    }
    state.leave().await;
}

struct State<E: Engine> {
    node: Rc<Node<E>>,
    connected: Option<Connected<E::Writer>>,
    pushes: Vec<Push>,
    /// Since when there is no connection.
    down: Option<Instant>,
    /// Nothing is pushed any more.
    is_leaving: bool,
}

impl<E: Engine> State<E> {
    /// Makes pushes of what was taken.
    fn take(&mut self, taken: Vec<Taken>) {
        let now = Instant::now();
        for Taken { dispatches, own, key, holds, unsettled } in taken {
            let (mut entries, mut tags) = (Vec::with_capacity(own.len()), Vec::with_capacity(own.len()));
            for (dispatch, own) in dispatches.into_iter().zip(own) {
                let body = Body::Dispatch { counted: own.reached.is_some(), dispatch };
                let (entry, tag) = self.node.encode(body);
                let underway =
                    Underway { own: Some(own), since: now, stands: None, read_at: None, is_settled: false };
                self.node.own.borrow_mut().insert(tag, underway);
                entries.push(entry);
                tags.push(tag);
            }
            let key = key.map(|key| (name_of(&key), KnownPush { body: key.body }.encode(), key.body));
            self.pushes.push(Push {
                entries,
                tags,
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

    /// Connects, and finds out what became of the pushes that were sent on the connection before. Returns whether there is a
    /// connection.
    async fn connect(&mut self) -> bool {
        let node = Rc::clone(&self.node);
        let since = *self.down.get_or_insert_with(Instant::now);
        let connecting = timeout(CONNECT_MAX, async {
            let known = Known::of(&node);
            let (mut writer, state) = node.engine.writer().await?;
            let last = state.last;
            let epoch = establish(&node, &mut writer, (known, state)).await?;
            Ok::<_, Failure>((writer, epoch, last))
        });
        tokio::pin!(connecting);
        let connected = loop {
            // Pushes do not wait for a connection longer than for their answer.
            tokio::select! {
                connected = &mut connecting => break connected,
                () = sleep(PAUSE) => self.expire(since),
            }
        };
        let failure = match in_time(connected) {
            Ok((writer, epoch, last)) => {
                self.connected = Some(Connected { writer, epoch });
                self.resolve((epoch, last)).await;
                self.down = None;
                self.node.feed.refuse(false);
                self.node.status.is_connected();
                match self.node.has_replicas() {
                    true => self.node.feed.health().is_in_engine(),
                    false => self.node.is_unreplicated(),
                }
                return true;
            }
            Err(failure) => failure,
        };
        self.node.status.failed(&failure);
        self.expire(since);
        if since.elapsed() >= PUSH_MAX {
            self.node.feed.health().is_refusing(&failure);
        }
        sleep(PAUSE).await;
        false
    }

    /// Refuses what has waited too long for a connection.
    fn expire(&mut self, since: Instant) {
        if since.elapsed() >= PUSH_MAX {
            self.node.feed.refuse(true);
            let waiting = self.node.feed.take_now();
            self.node.feed.done();
            Feed::settle(
                waiting.into_iter().map(|taken| (taken.unsettled, Err(DispatchRefusal::LogUnavailable))),
            );
        }
        self.expire_taken();
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
                true => self.is_settled(&push.tags),
                false => self.forget(&push.tags),
            }
        }
        Feed::settle(pushes.into_iter().map(|push| (push.unsettled, Err(DispatchRefusal::LogUnavailable))));
    }

    /// These entries stand in the log: they will be read.
    fn stands(&self, at: Cursor, tags: &[u64]) {
        let (mut own, now) = (self.node.own.borrow_mut(), Instant::now());
        for tag in tags {
            if let Some(underway) = own.get_mut(tag) {
                underway.stands = Some((at, now));
            }
        }
    }

    /// Nobody waits for these entries any more; they may still be read back.
    fn is_settled(&self, tags: &[u64]) {
        let mut own = self.node.own.borrow_mut();
        for tag in tags {
            match own.get_mut(tag) {
                Some(underway) if underway.read_at.is_some() => drop(own.remove(tag)),
                Some(underway) => underway.is_settled = true,
                None => {}
            }
        }
    }

    fn forget(&self, tags: &[u64]) {
        let mut own = self.node.own.borrow_mut();
        tags.iter().for_each(|tag| drop(own.remove(tag)));
    }

    /// Reads on up to what the log had when the connection was made: a push that was sent before is in it or not. If an epoch
    /// has begun since it was sent, the log may have lost it after others have read it: then it is not appended anew.
    async fn resolve(&mut self, (epoch, last): (u64, Option<Cursor>)) {
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
        let (mut accepted, mut unknown) = (Vec::new(), Vec::new());
        for mut push in std::mem::take(&mut self.pushes) {
            let first = push.tags.first().and_then(|tag| node.read_back(*tag)).filter(|_| push.is_uncertain);
            match first {
                Some(at) => {
                    self.forget(&push.tags);
                    accepted.push((push.unsettled, Ok(Positions::new(at, push.tags.len()))));
                }
                // It may have been among the entries that are gone: others may have read it.
                None if push.is_uncertain && may_be_gone(&push) => unknown.push(push),
                None => {
                    push.is_uncertain = false;
                    self.pushes.push(push);
                }
            }
        }
        Feed::settle(accepted);
        self.give_up(unknown);
    }

    /// Looks whether the engine is still the one whose epoch this is.
    async fn check(&mut self) {
        let Some(connected) = &mut self.connected else { return };
        let node = Rc::clone(&self.node);
        let since = Instant::now();
        let checking = timeout(PUSH_MAX, async {
            let known = Known::of(&node);
            let state = connected.writer.state().await?;
            connected.epoch = establish(&node, &mut connected.writer, (known, state)).await?;
            if node.view.borrow().hole.is_some_and(|at| at.elapsed() < UNTRIMMED) {
                return Ok(());
            }
            let read = known.last_read.map(|(at, _)| at).filter(|_| makes(Mistake::TrimsTooMuch));
            match read.or_else(|| node.keeps()) {
                Some(first) => connected.writer.trim(first).await,
                None => Ok(()),
            }
        });
        if let Err(reason) = in_time(checking.await) {
            self.lose_connection(&reason, since);
        }
    }

    /// The connection is of no use any more. It has not answered since then, so pushes have waited since then.
    fn lose_connection(&mut self, reason: &str, since: Instant) {
        self.node.status.failed(reason);
        self.connected = None;
        self.down = Some(since);
    }

    /// Appends the pushes that wait, and a heartbeat.
    async fn append(&mut self, with_heartbeat: bool) {
        let Some(connected) = &mut self.connected else { return };
        let mut told = self.node.announced.take();
        let heartbeat = || Announced { body: Body::Heartbeat(self.node.record()), recorded: None };
        told.extend(with_heartbeat.then(heartbeat));
        let entries: Vec<_> = told.iter().map(|told| self.node.encode(told.body.clone()).0).collect();
        let (epoch, key_age) = (connected.epoch, self.node.settings.key_age);
        self.pushes.iter_mut().for_each(|push| (push.is_uncertain, push.epoch) = (true, epoch));
        let mut appends: Vec<_> = self.pushes.iter().map(|push| as_append(push, key_age)).collect();
        appends.extend(entries.chunks(1).map(|entries| Append { entries, key: None, holds: None }));
        if appends.is_empty() {
            return;
        }
        let appending = connected.writer.append(connected.epoch, &appends, self.node.settings.replicas);
        let since = Instant::now();
        let appended = timeout(PUSH_MAX, appending).await;
        drop(appends);
        match in_time(appended) {
            Ok(results) => self.settle(results, told).await,
            Err(reason) => {
                self.announce_again(told);
                self.lose_connection(&reason, since);
            }
        }
    }

    /// What this node tells all others is told later, but for a heartbeat.
    fn announce_again(&self, told: Vec<Announced>) {
        let told = told.into_iter().filter(|told| !matches!(told.body, Body::Heartbeat(_)));
        self.node.announced.borrow_mut().extend(told);
    }

    async fn settle(&mut self, results: Vec<Appended>, told: Vec<Announced>) {
        let (mut settled, mut is_stale) = (Vec::new(), false);
        let mut results = results.into_iter();
        for (mut push, result) in std::mem::take(&mut self.pushes).into_iter().zip(results.by_ref()) {
            match result {
                Appended::At(at) => {
                    if makes(Mistake::DeliversAtOnce) {
                        self.deliver(at, &push).await;
                    }
                    self.acknowledge(at, &push);
                    settled.push((push.unsettled, Ok(Positions::new(at, push.tags.len()))));
                }
                Appended::Unreplicated(at) => {
                    self.acknowledge(at, &push);
                    self.node.is_unreplicated();
                    settled.push((push.unsettled, Err(DispatchRefusal::Unreplicated)));
                }
                // Nothing of it was appended now.
                Appended::KnownUnreplicated => {
                    self.forget(&push.tags);
                    settled.push((push.unsettled, Err(DispatchRefusal::Unreplicated)));
                }
                Appended::Known(first, value) => {
                    self.forget(&push.tags);
                    let known = key::decode(&value);
                    let is_same = push.key.as_ref().is_some_and(
                        |(_, _, body)| matches!(&known, Read::Ours(known) if known.body == *body),
                    );
                    settled.push((push.unsettled, Err(DispatchRefusal::Repeated { first, is_same })));
                }
                Appended::Stale | Appended::Gone => {
                    is_stale = true;
                    push.is_uncertain = false;
                    self.pushes.push(push);
                }
                // Nothing of it was appended now.
                Appended::NotHeld | Appended::Refused(_) => {
                    if let Appended::Refused(reason) = &result {
                        self.node.feed.health().is_refusing(reason);
                    }
                    self.forget(&push.tags);
                    settled.push((push.unsettled, Err(DispatchRefusal::LogUnavailable)));
                }
            }
        }
        let mut untold = Vec::new();
        for (told, result) in told.into_iter().zip(results) {
            match result {
                Appended::At(at) => {
                    self.node.view.borrow_mut().acknowledge(at, self.node.clock.now());
                    self.node.feed.health().is_in_engine();
                    if let Some(recorded) = told.recorded {
                        // Whoever waits for it may have stopped.
                        let _ = recorded.send(());
                    }
                    continue;
                }
                Appended::Unreplicated(at) => {
                    self.node.view.borrow_mut().acknowledge(at, self.node.clock.now());
                    self.node.is_unreplicated();
                    continue;
                }
                Appended::Refused(reason) => self.node.feed.health().is_refusing(&reason),
                Appended::Stale | Appended::Gone => is_stale = true,
                Appended::Known(..) | Appended::KnownUnreplicated | Appended::NotHeld => {}
            }
            untold.push(told);
        }
        self.announce_again(untold);
        Feed::settle(settled);
        self.expire_taken();
        if is_stale || self.node.view.borrow().must_begin {
            self.check().await;
        }
    }

    /// Hands a push over before it is read, by mistake.
    async fn deliver(&self, at: Cursor, push: &Push) {
        let positions = Positions::new(at, push.entries.len());
        let entries = positions.iter().zip(push.entries.iter().cloned().map(Some));
        drop(super::reader::take(&self.node, entries.collect()).await);
    }

    /// A push stands in the log. If that position was read before, and was another entry, it is given for the second time.
    fn acknowledge(&self, at: Cursor, push: &Push) {
        let mut view = self.node.view.borrow_mut();
        let is_read = push.tags.first().is_some_and(|tag| self.node.read_back(*tag).is_some());
        if !is_read && view.has_read(at) {
            view.must_begin = true;
        }
        view.acknowledge(at, self.node.clock.now());
        drop(view);
        self.stands(at, &push.tags);
        self.is_settled(&push.tags);
    }

    /// Nothing is pushed any more. This node goes on as a witness.
    fn begin_to_leave(&mut self) {
        if !std::mem::replace(&mut self.is_leaving, true) {
            spawn_local(leaving::close_feed(Rc::clone(&self.node)));
        }
    }

    /// Says the last word of this node, how far it has read, under the epoch that reigns.
    async fn leave(&mut self) {
        loop {
            if self.connected.is_none() && !self.connect().await {
                continue;
            }
            let Some(connected) = &mut self.connected else { continue };
            let progress = self.node.view.borrow().progress();
            let entries = [self.node.encode(Body::Leave(progress)).0];
            let leave = [Append { entries: &entries, key: None, holds: None }];
            let since = Instant::now();
            let appending = timeout(PUSH_MAX, connected.writer.append(connected.epoch, &leave, 0)).await;
            match in_time(appending).as_deref() {
                Ok([Appended::At(_) | Appended::Unreplicated(_)]) => return,
                Ok([Appended::Stale | Appended::Gone]) => self.check().await,
                Ok(_) => sleep(PAUSE).await,
                Err(reason) => self.lose_connection(reason, since),
            }
        }
    }
}

/// What came of a question that has a time limit.
fn in_time<T>(answer: Result<Result<T, Failure>, Elapsed>) -> Result<T, String> {
    match answer {
        Ok(answer) => answer.map_err(|failure| failure.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

fn as_append(push: &Push, key_age: Duration) -> Append<'_> {
    let key = push.key.as_ref().map(|(name, value, _)| (name.as_str(), value.as_slice(), key_age));
    Append { entries: &push.entries, key, holds: push.holds.as_deref() }
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
