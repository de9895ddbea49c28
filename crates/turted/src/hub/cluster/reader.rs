//! The reader of a cluster: reads everything that any node appends, in the order of the log, and hands it over.
//!
//! It reads on when every inbox has room for what it has read: a node that is behind is behind, it never leaves anything out.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use turted_core::cluster::entry::{self, Body, Entry};
use turted_core::cluster::head::Read;
use turted_core::cursor::Cursor;
use turted_core::epochs::Epoch;

use super::counts;
use super::mistake::{Mistake, makes};
use super::node::{Clocks, Node};
use super::pace::{self, Pace};
use super::reign::{NUMBERS_END, absurd};
use super::view::position;
use super::watch::SILENCE_MAX;
use crate::engine::{Engine, Failure, Reader};
use crate::hub::dispatch::feed::{By, Own, ReadEntry};

/// Entries that are read at once.
const PORTION: usize = 128;
/// How long a read may take. It waits itself for an entry, and returns when part of one has come.
const READ_MAX: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between two looks whether the inboxes have room.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

/// Follows the log, for ever.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    loop {
        let failure = match timeout(READ_MAX, node.engine.reader()).await {
            Ok(Ok((reader, state))) => {
                node.clock.set(state.now);
                node.view.borrow_mut().reign = state.reign.map_or(0, |reign| reign.epoch);
                // It follows the log once it has read something of its own.
                node.heartbeat.notify_one();
                follow(&node, reader).await.to_string()
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        node.status.is_not_following(&failure);
        sleep(PAUSE).await;
    }
}

async fn follow<E: Engine>(node: &Rc<Node<E>>, mut reader: E::Reader) -> Failure {
    let connected = Instant::now();
    let mut pace = Pace::new(connected);
    // Since when it waits for an answer.
    let mut asked = None;
    loop {
        let after = node.view.borrow().after;
        node.status.waits(true);
        let since = *asked.get_or_insert_with(Instant::now);
        // It is given up while it reads alone: what it has read counts as read, and is handed over whatever happens.
        let read = tokio::select! {
            biased;
            read = timeout(READ_MAX, reader.read(after, PORTION)) => read,
            () = node.reader_stuck.notified() => {
                return Failure::Lost("nothing of this node is read back".to_owned());
            }
        };
        let read = match read {
            Ok(Ok(read)) => read,
            Ok(Err(failure)) => return failure,
            Err(_) => return Failure::Lost("it does not answer".to_owned()),
        };
        node.status.waits(false);
        let count = read.len();
        match reader.is_coming() {
            true => node.view.borrow_mut().behind = Instant::now(),
            false => {
                asked = None;
                if count == 0 {
                    node.status.marks.had_all(since);
                }
            }
        }
        if let Err(failure) = take(node, read).await {
            return failure;
        }
        if reader.was_full(count, PORTION) {
            continue;
        }
        end_branch(node);
        if node.view.borrow().heard_own > connected {
            node.status.is_following();
        }
        if pace.is_busy(count, Instant::now()) {
            sleep(pace::PAUSE).await;
        }
    }
}

/// Takes entries that were read, up to one that no node can have appended.
pub(super) async fn take<E: Engine>(
    node: &Rc<Node<E>>,
    read: Vec<(Cursor, Option<Bytes>)>,
) -> Result<(), Failure> {
    let mut waiting = Vec::with_capacity(read.len());
    let (clocks, mut has_heard, mut own) = (node.clock.look(), false, None);
    for (at, bytes) in read {
        let decoded = match &bytes {
            Some(bytes) => entry::decode(bytes, node.settings.limits),
            // It is too large to be one of ours.
            None => Read::Foreign,
        };
        match decoded {
            Read::Ours(entry) if !goes_back(node, at) && !node.is_absurd(at, clocks.engine) => {
                if !continues(node, at, &entry.body) && !makes(Mistake::IgnoresHoles) {
                    hand_over(node, &mut waiting).await;
                    begin_behind_hole(node, at);
                }
                if entry.author.process == node.settings.process {
                    own = Some(entry.tag);
                }
                has_heard |= matches!(entry.body, Body::Heartbeat(_) | Body::Leave(_));
                take_entry(node, (at, clocks), entry, &mut waiting).await;
            }
            Read::Ours(_) | Read::Foreign if node.is_absurd(at, clocks.engine) => {
                hand_over(node, &mut waiting).await;
                return Err(absurd(at));
            }
            Read::Ours(_) if is_of_other_branch(node, at) => {
                let mut view = node.view.borrow_mut();
                view.branch = view.branch.or(Some(view.written));
                view.after = Some(at);
            }
            Read::Ours(_) | Read::Foreign => {
                node.status.foreign();
                if is_next(node, at) {
                    waiting.push(filler(at, clocks.here));
                    note(node, at, 0);
                }
                node.view.borrow_mut().after = Some(at);
            }
            Read::Later(version) => {
                hand_over(node, &mut waiting).await;
                // It reads on when the program is a later one.
                node.status.stop_at(at, version);
                std::future::pending::<()>().await;
            }
        }
    }
    hand_over(node, &mut waiting).await;
    if let Some(tag) = own {
        node.status.marks.reads_back(tag);
    }
    if has_heard {
        node.tell_nodes();
    }
    Ok(())
}

/// Whether an entry has a number that this node has read already, or one that no node gives: none of ours, numbers only grow.
fn goes_back<E: Engine>(node: &Node<E>, at: Cursor) -> bool {
    let last = node.view.borrow().last_read;
    at.sequence > NUMBERS_END || last.is_some_and(|(last, _)| at.sequence <= last.sequence)
}

/// Whether an entry is of a later epoch, under a number that this node has read in an earlier one. There were two logs: another
/// node has begun that epoch where this one was not, and the log of this node has ended.
fn is_of_other_branch<E: Engine>(node: &Node<E>, at: Cursor) -> bool {
    let last = node.view.borrow().last_read;
    at.sequence <= NUMBERS_END && last.is_some_and(|(last, _)| at.epoch > last.epoch)
}

/// What this node has read of a log that has ended is told as a loss, unless one was told since: it has read all that was
/// appended meanwhile.
fn end_branch<E: Engine>(node: &Node<E>) {
    let ended = node.view.borrow_mut().branch.take();
    if let Some(written) = ended {
        node.wants_epoch(written);
    }
}

/// Whether an entry has the number behind the last one that was read, in the same epoch.
fn is_next<E: Engine>(node: &Node<E>, at: Cursor) -> bool {
    let view = node.view.borrow();
    view.last_read.is_some_and(|(last, _)| last.epoch == at.epoch && last.sequence + 1 == at.sequence)
}

/// Whether nothing is missing before an entry.
fn continues<E: Engine>(node: &Node<E>, at: Cursor, body: &Body) -> bool {
    let view = node.view.borrow();
    let Some((last, _)) = view.last_read else { return false };
    if last.epoch == at.epoch {
        return last.sequence + 1 == at.sequence;
    }
    // Whoever began it says where the former one ended.
    matches!(body, Body::Begin { former, .. } if view.after == *former || former.is_none() || is_loss(view.after, *former))
}

/// Whether a node has read further than the former epoch went, by what its successor says.
fn is_loss(after: Option<Cursor>, former: Option<Cursor>) -> bool {
    match (after, former) {
        (Some(after), Some(former)) => position(after) > position(former),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Entries are gone that this node has not read: for its clients, what was before is lost.
fn begin_behind_hole<E: Engine>(node: &Rc<Node<E>>, at: Cursor) {
    let last = node.view.borrow().last_read;
    let begun = Epoch { epoch: at.epoch, after: at.sequence.saturating_sub(1) };
    {
        let mut view = node.view.borrow_mut();
        (view.epoch, view.hole) = (at.epoch, Some(Instant::now()));
    }
    // What stood before it is not read any more.
    node.own.borrow_mut().retain(|_, underway| {
        underway.read_at.is_some()
            || underway.stands.is_none_or(|(stands, _)| position(stands) >= position(at))
    });
    let Some((last, _)) = last else { return node.feed.begin_first(begun) };
    if last.epoch != at.epoch {
        node.feed.begin_epoch(begun, last.sequence);
    }
    node.feed.lose();
    node.status.lost_here();
}

async fn take_entry<E: Engine>(
    node: &Rc<Node<E>>,
    (at, clocks): (Cursor, Clocks),
    Entry { author, tag, time, body }: Entry,
    waiting: &mut Vec<ReadEntry>,
) {
    let accepted_at = clocks.here_at(time);
    let is_own = author.process == node.settings.process;
    let own = if is_own { node.take_own(tag, at) } else { None };
    match body {
        Body::Dispatch { counted, dispatch } => {
            let by = match own {
                Some(own) => {
                    counts::expect(node, tag, &own);
                    By::Own(own)
                }
                None if is_own => By::Own(Own::default()),
                None => By::Other(counted.then(|| counts::count(node, (author.node, tag)))),
            };
            waiting.push(ReadEntry { cursor: at, accepted_at, dispatch: Some(dispatch), by });
        }
        Body::Begin { former, lost: is_lost } => {
            hand_over(node, waiting).await;
            let knows_of_loss = begin(node, (at, time), former);
            waiting.push(filler(at, accepted_at));
            // Its own clients are told before they get anything of the new epoch.
            if is_lost || knows_of_loss {
                hand_over(node, waiting).await;
                lost(node, (at.epoch, time));
            }
        }
        Body::Heartbeat(record) => {
            {
                let (mut view, moment) = (node.view.borrow_mut(), node.moment_of(time));
                if is_own {
                    view.hear_own(moment);
                }
                view.table.heard(author, record, moment);
            }
            node.counts.borrow_mut().silent.remove(&author.process);
            waiting.push(filler(at, accepted_at));
        }
        Body::Lost { epoch } => {
            waiting.push(filler(at, accepted_at));
            hand_over(node, waiting).await;
            lost(node, (epoch, time));
        }
        Body::Deleted { channel, from, to } => {
            waiting.push(filler(at, accepted_at));
            hand_over(node, waiting).await;
            node.feed.delete_history(&channel, from..=to.min(at.sequence));
        }
        Body::Leave(progress) => {
            node.view.borrow_mut().table.left(author, progress, node.moment_of(time));
            waiting.push(filler(at, accepted_at));
        }
    }
    note_time(node, time, clocks.engine);
    note(node, at, tag);
}

/// An entry was written at this time, and read now, both by the engine's clock.
fn note_time<E: Engine>(node: &Node<E>, time: Duration, now: Duration) {
    let lag = now.saturating_sub(time);
    node.status.lags(lag);
    let mut view = node.view.borrow_mut();
    view.written = time;
    if lag > SILENCE_MAX {
        view.behind = Instant::now();
    }
}

/// This entry was read.
fn note<E: Engine>(node: &Node<E>, at: Cursor, tag: u64) {
    let mut view = node.view.borrow_mut();
    (view.after, view.last_read) = (Some(at), Some((at, tag)));
}

fn filler(at: Cursor, accepted_at: std::time::Instant) -> ReadEntry {
    ReadEntry { cursor: at, accepted_at, dispatch: None, by: By::Other(None) }
}

/// An epoch begins. Returns whether this node had come further than the former one has.
fn begin<E: Engine>(node: &Rc<Node<E>>, (at, time): (Cursor, Duration), former: Option<Cursor>) -> bool {
    let progress = node.view.borrow().progress();
    let is_beyond = progress.is_beyond(at.epoch, former);
    if node.view.borrow().epoch != at.epoch {
        let read = progress.read.map_or(0, |read| read.sequence);
        let end = former.filter(|former| former.epoch == node.view.borrow().epoch);
        let end = end.map_or(read, |former| former.sequence.min(read));
        node.feed.begin_epoch(Epoch { epoch: at.epoch, after: at.sequence.saturating_sub(1) }, end);
        node.status.began();
    }
    // What stood in the epochs before and was not read is not there any more.
    node.own.borrow_mut().retain(|_, underway| {
        underway.read_at.is_some() || underway.stands.is_none_or(|(stands, _)| stands.epoch >= at.epoch)
    });
    {
        let mut view = node.view.borrow_mut();
        view.epoch = at.epoch;
        view.beyond = is_beyond.then_some(view.written);
        // Where the log begins with it, this node knows no witness and has no client from before: others have to judge.
        if progress.read.is_some() {
            view.table.begun(at.epoch, former, node.moment_of(time));
        }
    }
    let knows_of_loss = is_beyond && !makes(Mistake::IgnoresWitnesses);
    if knows_of_loss {
        node.tells_loss(at.epoch);
    }
    // The others wait for what this node says of it.
    node.heartbeat.notify_one();
    knows_of_loss
}

/// What was before an epoch is lost, or may be. It was told at this time: of what this node has read that was written later, by
/// a former master say, others are told by one more epoch.
fn lost<E: Engine>(node: &Rc<Node<E>>, (epoch, told): (u64, Duration)) {
    if makes(Mistake::KeepsLossToItself) {
        return;
    }
    {
        let mut view = node.view.borrow_mut();
        if view.epoch != epoch {
            return;
        }
        if view.lost == Some(epoch) {
            // Other nodes have served clients up to here that did not know of it.
            return node.feed.tell_loss_again();
        }
        (view.lost, view.hole) = (Some(epoch), Some(Instant::now()));
        view.table.told(epoch);
        // What this node wanted another epoch for is told by this one.
        view.told_until(told);
        if let Some(written) = view.beyond.filter(|written| *written > told) {
            drop(view);
            node.wants_epoch(written);
        }
    }
    node.feed.lose();
    node.status.lost();
}

/// Hands over what waits, when there is room for it.
async fn hand_over<E: Engine>(node: &Rc<Node<E>>, waiting: &mut Vec<ReadEntry>) {
    while !waiting.is_empty() {
        let fitting = node.feed.room_for(waiting);
        if fitting > 0 {
            node.feed.hand_over(waiting.drain(..fitting));
            node.progress.notify_waiters();
        } else {
            sleep(ROOM_PAUSE).await;
        }
    }
}
