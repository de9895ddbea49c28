//! The writer of a cluster: appends the pushes of this node to the log of all nodes, and the heartbeats by which they know
//! that it lives.
//!
//! A push whose connection breaks before it is answered may be appended or not. The connection is ended in the engine first,
//! so that nothing of it can come later; then what the log has up to then is read, and the push is in it or not. What is not
//! is appended anew, for 2 s in all.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use turted_core::cluster::entry::Body;

use super::leaving;
use super::mistake::{Mistake, makes};
use super::node::{Announced, Node};
use super::pace::{GATHER, GATHERED_MAX, Gathering};
use super::pushes::{PUSH_MAX, Pushes};
use super::reign::{Known, establish};
use super::settings::HEARTBEAT;
use super::ways::Way;
use crate::engine::{Append, Appended, Engine, Failure, Writer};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the last word of this node may take.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// How long nothing is trimmed after a loss: this node has forgotten what it had, but others may still have to read it.
const UNTRIMMED: Duration = Duration::from_secs(20);

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
        biased;
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
        pushes: Pushes::new(Rc::clone(&node)),
        gathering: Gathering::new(Instant::now()),
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
        let beat = if state.pushes.is_empty() {
            tokio::select! {
                biased;
                () = left.cancelled(), if state.is_leaving => break,
                _ = ticks.tick() => Some(Beat::Looks),
                () = node.heartbeat.notified() => Some(Beat::Looks),
                () = node.status.waited_for.notified() => Some(Beat::Alone),
                () = node.writer_stuck.notified() => {
                    state.connected = None;
                    continue;
                }
                taken = node.feed.take(), if !state.is_leaving => {
                    match taken {
                        Some(taken) => state.pushes.take(taken),
                        None => state.begin_to_leave(),
                    }
                    None
                }
            }
        } else {
            None
        };
        if beat == Some(Beat::Looks) {
            state.check().await;
        }
        state.append(beat.is_some()).await;
    }
    state.leave().await;
}

/// How a heartbeat is appended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// Behind a look at the engine.
    Looks,
    /// Without: clients can cause it.
    Alone,
}

struct State<E: Engine> {
    node: Rc<Node<E>>,
    connected: Option<Connected<E::Writer>>,
    pushes: Pushes<E>,
    gathering: Gathering,
    /// Since when there is no connection.
    down: Option<Instant>,
    /// Nothing is pushed any more.
    is_leaving: bool,
}

impl<E: Engine> State<E> {
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
                biased;
                connected = &mut connecting => break connected,
                () = sleep(PAUSE) => self.pushes.expire(since),
            }
        };
        // It stays so until somebody changes something.
        let is_unusable = matches!(connected, Ok(Err(Failure::Unusable(_))));
        let failure = match in_time(connected) {
            Ok((writer, epoch, last)) => {
                self.connected = Some(Connected { writer, epoch });
                self.pushes.resolve(epoch, last).await;
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
        self.node.status.failed(Way::Writer, &failure);
        self.pushes.expire(since);
        if is_unusable {
            self.pushes.refuse_all();
        }
        if is_unusable || since.elapsed() >= PUSH_MAX {
            self.node.feed.health().is_refusing(&failure);
        }
        sleep(PAUSE).await;
        false
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
        self.node.status.failed(Way::Writer, reason);
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
        let count = self.pushes.len();
        let mut appends: Vec<_> = self.pushes.send(connected.epoch).collect();
        appends.extend(entries.chunks(1).map(|entries| Append { entries, key: None, holds: None }));
        if appends.is_empty() {
            return;
        }
        let appending = connected.writer.append(connected.epoch, &appends, self.node.settings.replicas);
        let since = Instant::now();
        let appended = timeout(PUSH_MAX, appending).await;
        drop(appends);
        match in_time(appended) {
            Ok(results) => {
                self.settle(results, told).await;
                self.gather(count).await;
            }
            Err(reason) => {
                self.announce_again(told);
                self.lose_connection(&reason, since);
            }
        }
    }

    /// Lets backends push again that were answered together.
    async fn gather(&mut self, answered: usize) {
        if self.gathering.is_due(answered, Instant::now())
            && !self.node.feed.gather(answered, GATHERED_MAX, GATHER).await
        {
            self.gathering.was_in_vain();
        }
    }

    /// Tells what became of the pushes, and looks what became of what this node tells all others.
    async fn settle(&mut self, results: Vec<Appended>, told: Vec<Announced>) {
        let mut results = results.into_iter();
        let mut is_stale = self.pushes.settle(results.by_ref()).await;
        let mut untold = Vec::new();
        for (told, result) in told.into_iter().zip(results) {
            match result {
                Appended::At(at) => {
                    self.node.view.borrow_mut().acknowledge(at, self.node.clock.now());
                    self.node.feed.health().is_in_engine();
                    self.node.status.takes_heartbeats(None);
                    if let Some(recorded) = told.recorded {
                        // Whoever waits for it may have stopped.
                        let _ = recorded.send(());
                    }
                    continue;
                }
                Appended::Unreplicated(at) => {
                    self.node.view.borrow_mut().acknowledge(at, self.node.clock.now());
                    self.node.is_unreplicated();
                    self.node.status.takes_heartbeats(None);
                    continue;
                }
                Appended::Refused(reason) => {
                    self.node.feed.health().is_refusing(&reason);
                    self.node.status.takes_heartbeats(Some(&reason));
                }
                Appended::Stale | Appended::Gone => is_stale = true,
                Appended::Known(..) | Appended::KnownUnreplicated | Appended::NotHeld => {}
            }
            untold.push(told);
        }
        self.announce_again(untold);
        if is_stale || self.node.view.borrow().must_begin.is_some() {
            self.check().await;
        }
    }

    /// What this node tells all others is told later, but for a heartbeat.
    fn announce_again(&self, told: Vec<Announced>) {
        let told = told.into_iter().filter(|told| !matches!(told.body, Body::Heartbeat(_)));
        self.node.announced.borrow_mut().extend(told);
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
