//! Which epoch a node may append under, and when it has to begin another one.
//!
//! An epoch belongs to one reign of one process of the engine: a process that was started again, or promoted, may have lost
//! what others have read already, and would give their positions again. So a node looks whom it has reached on every
//! connection, with every heartbeat, and when its appends are refused; if it is somebody else, it begins another epoch before
//! it appends. Its `begin` names where the former one ended: who has read further knows of a loss.

use std::time::Duration;

use tokio::time::sleep;
use turted_core::cluster::entry::Body;
use turted_core::cursor::Cursor;
use turted_core::record::push::NUMBER_MAX;

use super::mistake::{Mistake, makes};
use super::node::Node;
use super::random;
use super::view::position;
use crate::engine::{Engine, Failure, Reign, State, Writer};

/// Numbers between the end of an epoch and the first one of the next: no node can have read so many that are lost.
const EPOCH_DISTANCE: u64 = 1 << 20;
/// The last number that a node takes. Anybody can write an entry with a higher one: epochs need room behind it.
pub(super) const NUMBERS_END: u64 = NUMBER_MAX - (1 << 40);
/// Time between two attempts to begin one.
const PAUSE: Duration = Duration::from_millis(50);

/// What this node knew of the log before it looked: what it reads meanwhile may be behind what it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    highest: Option<Cursor>,
    /// The last entry that it has read, and its tag.
    pub(super) last_read: Option<(Cursor, u64)>,
}

impl Known {
    /// What is known now. To be called before the state of the log is asked for.
    pub(super) fn of<E: Engine>(node: &Node<E>) -> Self {
        let view = node.view.borrow();
        Self { highest: view.highest(), last_read: view.last_read }
    }
}

/// Finds the epoch to append under, and begins it if need be.
pub(super) async fn establish<E: Engine>(
    node: &Node<E>,
    writer: &mut E::Writer,
    (mut known, mut state): (Known, State),
) -> Result<u64, Failure> {
    loop {
        node.sees(&state);
        refuse_absurd(node, &state)?;
        if let Some(epoch) = lasting(node, writer, (known, &state)).await? {
            return Ok(epoch);
        }
        if let Some(epoch) = begin(node, writer, (known, &state)).await? {
            return Ok(epoch);
        }
        // Another node has begun one, or appended something, meanwhile.
        sleep(PAUSE).await;
        known = Known::of(node);
        state = writer.state().await?;
    }
}

/// A log whose last entry is far ahead has no room for another epoch behind it, and no node has appended that.
fn refuse_absurd<E: Engine>(node: &Node<E>, state: &State) -> Result<(), Failure> {
    node.view.borrow_mut().reign = state.reign.as_ref().map_or(0, |reign| reign.epoch);
    match state.last.filter(|last| node.is_absurd(*last, node.clock.now())) {
        Some(last) => Err(absurd(last)),
        None => Ok(()),
    }
}

/// What is said of an entry far ahead.
pub(super) fn absurd(Cursor { epoch, sequence }: Cursor) -> Failure {
    Failure::Lost(format!(
        "no node has appended the entry {epoch}-{sequence}, which is far ahead of the clock of Redis: delete the log"
    ))
}

/// The epoch that was begun last, if the log still has all that this node knows of it.
async fn lasting<E: Engine>(
    node: &Node<E>,
    writer: &mut E::Writer,
    (known, state): (Known, &State),
) -> Result<Option<u64>, Failure> {
    let (Some(reign), Some(last)) = (&state.reign, state.last) else { return Ok(None) };
    let is_used_up = last.sequence > NUMBERS_END;
    if reign.process != state.process
        || is_used_up
        || reign.epoch != last.epoch
        || node.view.borrow().must_begin.is_some()
    {
        return Ok(None);
    }
    if known.highest.is_some_and(|highest| position(highest) > position(last)) {
        return Ok(None);
    }
    if let Some((at, _)) = known.last_read
        && (at.epoch < reign.epoch && reign.first <= at.sequence)
    {
        // A node that knew nothing of the epochs before has begun it with numbers that this one has read: it would read
        // nothing of it. What it has read is lost.
        let written = node.view.borrow().written;
        node.wants_epoch(written);
        return Ok(None);
    }
    if let Some((at, tag)) = known.last_read
        && let Some(bytes) = writer.entry(at).await?
        && node.is_other(&bytes, tag)
    {
        // The same position was given twice: what this node has read there is lost.
        let written = node.view.borrow().written;
        node.wants_epoch(written);
        return Ok(None);
    }
    Ok(Some(reign.epoch))
}

/// Begins an epoch. `None` if another node was faster, or has appended something behind what this one has seen: `begin` would
/// name a wrong end.
async fn begin<E: Engine>(
    node: &Node<E>,
    writer: &mut E::Writer,
    (Known { highest, last_read }, state): (Known, &State),
) -> Result<Option<u64>, Failure> {
    let epoch = next_epoch(state, highest);
    let known = [state.last, highest, last_read.map(|(at, _)| at)].map(|at| at.map(|at| at.sequence));
    let numbers = known.into_iter().flatten().chain(state.reign.as_ref().map(|reign| reign.first));
    let number = numbers.filter(|number| *number <= NUMBERS_END).max();
    let distance = if makes(Mistake::GoesOnCounting) { 1 } else { EPOCH_DISTANCE };
    let first = number.map_or(1, |number| number + distance);
    let is_known_lost = match (state.last, highest) {
        (None, known) => known.is_some() || state.reign.is_some(),
        (Some(last), Some(highest)) => {
            position(highest) > position(last) || node.view.borrow().must_begin.is_some()
        }
        (Some(_), None) => false,
    };
    let (entry, _) = node.encode(Body::Begin { former: state.last, lost: is_known_lost });
    let begun = Reign { epoch, first, process: state.process.clone() };
    let has_won = writer.begin(state, &begun, &entry).await?;
    if has_won {
        node.view.borrow_mut().must_begin = None;
        tracing::warn!(
            epoch = format!("{epoch:x}"),
            former = state.last.map(|last| last.to_string()),
            "a new epoch of the log begins"
        );
    }
    Ok(has_won.then_some(epoch))
}

/// An epoch above all that are known: the engine's time, and random bits, so that two engines begin different ones. Where the
/// clock was set back, it is a random number above.
fn next_epoch(state: &State, highest: Option<Cursor>) -> u64 {
    let random = random::number() & u64::from(u16::MAX);
    let by_time = millis(state.now) << 16 | random;
    let reigning = state.reign.as_ref().map(|reign| reign.epoch);
    let known = [state.last.map(|last| last.epoch), highest.map(|highest| highest.epoch), reigning];
    let above = known.into_iter().flatten().max().map_or(1, |known| known.saturating_add(1));
    match by_time > above {
        _ if makes(Mistake::CountsEpochs) => above,
        true => by_time,
        false => above.saturating_add(random),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) & ((1 << 47) - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::Keeping;

    #[test]
    fn nodes_at_two_masters_whose_clock_was_set_back_begin_different_epochs_above_the_last_one() {
        let last = Cursor { epoch: millis(Duration::from_secs(1_700_000_000)) << 16, sequence: 1 };
        let state = |seconds| State {
            process: String::new(),
            now: Duration::from_secs(seconds),
            last: Some(last),
            reign: None,
            keeping: Keeping { replicas: 0, evicts: None },
        };
        for seconds in [1_600_000_000, 1_800_000_000] {
            let epochs: BTreeSet<_> = (0..100).map(|_| next_epoch(&state(seconds), None)).collect();
            assert!(epochs.len() > 90 && epochs.iter().all(|epoch| *epoch > last.epoch), "{epochs:?}");
        }
    }
}
