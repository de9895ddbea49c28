//! What a client missed while it was away, found in the log.
//!
//! Knows no transport. A worker searches in slices and for one client at a time, so that many clients that come
//! back at once do not hold up its connections. The lock of the log is held for a few microseconds at a time.
//! What is found is listed; it is encoded later, as the client takes it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::yield_now;
use tokio::time::sleep;
use turted_core::dispatch::Via;
use turted_core::limits::REPLAYS_WAITING_MAX;
use turted_core::membership::Memberships;
use turted_core::trust::is_private;

use crate::hub::delivery::fanout::SLICE;
use crate::hub::delivery::outlet::{Missed, RECENT_AGE, Telling};
use crate::hub::delivery::wire::Wire;
use crate::hub::dispatch::log::{Accepted, Log, Mention};
use crate::hub::worker::connection::Client;
use crate::hub::worker::worker::Worker;

/// Targets looked at or indexed while the log is locked, 50 to 200 ns each.
const STEPS_PER_LOCK: usize = 256;
/// Slices for one client: half a second. If new dispatches come faster than the search goes, the client begins
/// anew.
const SLICES_MAX: usize = 1_000;

/// A client that is back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returning<'a> {
    pub(crate) memberships: &'a Memberships,
    /// The number of the last dispatch it has seen; at most what the worker has resolved.
    pub(crate) seen: u64,
    /// The wire on which it will receive.
    pub(crate) wire: Wire,
}

/// What `client` missed: every dispatch for it after the last one it has seen, up to what this
/// worker has resolved when this returns. `None` if not all of that is known any more, if it is more than may
/// be replayed, or if the connection is gone.
///
/// The caller has to make the client a receiver and hand it the list before it waits for anything else.
/// Otherwise a dispatch could come between the last one that was missed and the first one that is new.
pub(crate) async fn missed(client: Client<'_>, returning: Returning<'_>) -> Option<Missed> {
    let has_place = client.worker.replays.clients(client.connection.peer) < REPLAYS_WAITING_MAX
        || (is_private(client.connection.peer) && client.worker.config.trusted_proxies.networks().is_empty());
    if !has_place || client.worker.shared.backlogs.is_full() {
        return None;
    }
    client.worker.replays.take(client.connection.peer, find(client, returning)).await
}

async fn find(client: Client<'_>, returning: Returning<'_>) -> Option<Missed> {
    // The client may have gone while other clients had their turn: no task has read its socket since.
    client.connection.close_if_gone(client.worker);
    if client.connection.is_closed() {
        return None;
    }
    index(client.worker).await;
    let mut search = Search::new(returning.memberships, returning.seen);
    for _ in 0..SLICES_MAX {
        if advance(client.worker, &mut search)? == SearchProgress::Done {
            return list(client.worker, &search, returning.wire);
        }
        yield_now().await;
        if client.connection.is_closed() {
            return None;
        }
    }
    None
}

/// What was found, by number.
fn list(worker: &Rc<Worker>, search: &Search<'_>, wire: Wire) -> Option<Missed> {
    let mut dispatches = Vec::with_capacity(search.found.len());
    let found: Vec<_> = search.found.iter().collect();
    for portion in found.chunks(STEPS_PER_LOCK) {
        let kept = worker.dispatcher.read_log(|log| {
            let get = |(sequence, number): &(&u64, &u32)| Some((log.get(**sequence)?.clone(), **number));
            portion.iter().map(get).collect::<Option<Vec<_>>>()
        });
        dispatches.extend(kept?);
    }
    Some(told(worker, dispatches, (wire, Telling::Again)))
}

/// Dispatches that are sent to a client as it takes them.
pub(super) fn told(
    worker: &Rc<Worker>,
    dispatches: Vec<(Arc<Accepted>, u32)>,
    way: (Wire, Telling),
) -> Missed {
    if worker.missed.watch() {
        let (missed, ending) = (Rc::clone(&worker.missed), worker.shared.life.ending.clone());
        worker.spawn(async move {
            ending.run_until_cancelled(sleep(RECENT_AGE)).await;
            missed.forget();
        });
    }
    Missed::new(dispatches, way, &worker.missed, &worker.shared.backlogs)
}

/// One slice. `Done` only if all that was resolved was looked at.
fn advance(worker: &Worker, search: &mut Search<'_>) -> Option<SearchProgress> {
    let started = Instant::now();
    while started.elapsed() < SLICE {
        let most = worker.config.recovery.replay;
        if worker.dispatcher.read_log(|log| search.advance(log, most))? == SearchProgress::More {
            continue;
        }
        let seen = worker.seen();
        if search.to == seen {
            return Some(SearchProgress::Done);
        }
        search.go_on(seen);
    }
    Some(SearchProgress::More)
}

/// Indexes what this worker has resolved. Clients share this work, so it is not limited to a number of slices.
async fn index(worker: &Worker) {
    let last = worker.seen();
    let is_done = || worker.dispatcher.read_log(|log| log.index(last, &mut { STEPS_PER_LOCK }));
    loop {
        let started = Instant::now();
        while started.elapsed() < SLICE {
            if is_done() {
                return;
            }
        }
        yield_now().await;
    }
}

/// How far a search came. `None` in its place: it came to a gap, or found too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SearchProgress {
    Done,
    More,
}

/// Looks for the dispatches of one client in the log, a few steps at a time.
struct Search<'a> {
    /// The reasons that make the client a receiver, each with the number of the last dispatch before it did.
    reasons: Vec<(Via<'a>, u64)>,
    /// Dispatches after this one are looked for, up to and including `to`.
    after: u64,
    to: u64,
    /// The reason that is looked at now, and the last of its mentions that was looked at.
    reason: usize,
    at: Option<Mention>,
    /// The numbers of dispatches, each with that of the first reason to receive it.
    found: BTreeMap<u64, u32>,
}

impl<'a> Search<'a> {
    fn new(memberships: &'a Memberships, seen: u64) -> Self {
        let users = memberships.users.iter().map(|(name, since)| (Via::User(name), since.0));
        let channels = memberships.channels.iter().map(|(name, since)| (Via::Channel(name), since.0));
        let reasons: Vec<_> = users.chain(channels).chain([(Via::Broadcast, 0)]).collect();
        let reason = reasons.len();
        Self { reasons, after: seen, to: seen, reason, at: None, found: BTreeMap::new() }
    }

    /// Goes on with the search, up to `to`.
    fn go_on(&mut self, to: u64) {
        (self.after, self.to, self.reason, self.at) = (self.to, to, 0, None);
    }

    /// Looks at a few targets. `None` if something is no longer kept, or more than `most` is found.
    fn advance(&mut self, log: &mut Log, most: usize) -> Option<SearchProgress> {
        if self.reason == self.reasons.len() {
            return Some(SearchProgress::Done);
        }
        if !log.has_all_after(self.after) {
            return None;
        }
        let mut steps = STEPS_PER_LOCK;
        if !log.index(self.to, &mut steps) {
            return Some(SearchProgress::More);
        }
        while let Some((via, since)) = self.reasons.get(self.reason).copied() {
            if steps == 0 {
                return Some(SearchProgress::More);
            }
            steps -= 1;
            let mention = self.at.map_or_else(|| log.latest(via), |at| log.earlier(at));
            self.at = mention.filter(|mention| mention.sequence > self.after.max(since));
            match self.at {
                Some(mention) => self.note(mention),
                None => self.reason += 1,
            }
            if self.found.len() > most {
                return None;
            }
        }
        Some(SearchProgress::Done)
    }

    fn note(&mut self, Mention { sequence, number }: Mention) {
        // What comes after `to` will be resolved when the client is a receiver again.
        if sequence <= self.to {
            let first = self.found.entry(sequence).or_insert(number);
            *first = number.min(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use turted_core::cursor::Cursor;
    use turted_core::dispatch::{Dispatch, Targets};
    use turted_core::epochs::Epoch;
    use turted_core::membership::Since;
    use turted_core::name::Name;

    use super::*;
    use crate::hub::dispatch::log::LogLimits;
    use crate::io::backlogs::Backlogs;

    fn log(dispatches: usize) -> Log {
        let limits = LogLimits { dispatches, bytes: usize::MAX, age: Duration::from_secs(60) };
        Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX))
    }

    fn append(log: &mut Log, targets: Targets) -> u64 {
        let payload = serde_json::value::to_raw_value(&1).unwrap();
        let dispatch = Dispatch { event: name(0), payload, targets };
        log.append(dispatch, Instant::now()).sequence()
    }

    fn name(number: usize) -> Name {
        Name::new(&number.to_string()).unwrap()
    }

    /// All that is found up to `to`, and the number of looks that it took.
    fn search(
        log: &mut Log,
        memberships: &Memberships,
        seen: u64,
        to: u64,
    ) -> Option<(Vec<(u64, u32)>, usize)> {
        let mut search = Search::new(memberships, seen);
        search.go_on(to);
        let mut looks = 1;
        while search.advance(log, 1_000_000)? == SearchProgress::More {
            looks += 1;
        }
        Some((search.found.into_iter().collect(), looks))
    }

    /// The same by looking at every dispatch.
    fn scan(log: &Log, memberships: &Memberships, seen: u64, to: u64) -> Vec<(u64, u32)> {
        let holds = |via: Via<'_>, sequence: u64| {
            let (held, name) = match via {
                Via::User(name) => (&memberships.users, name),
                Via::Channel(name) => (&memberships.channels, name),
                Via::Broadcast => return true,
            };
            held.iter().any(|(own, since)| own == name && since.0 < sequence)
        };
        let first = |sequence: u64| {
            let targets = &log.get(sequence)?.dispatch.targets;
            let number = targets.vias().position(|via| holds(via, sequence))?;
            Some((sequence, u32::try_from(number).unwrap()))
        };
        (seen + 1..=to).filter_map(first).collect()
    }

    #[test]
    fn what_was_missed_is_found_wherever_a_client_stopped_and_whatever_it_is() {
        for seed in 0..100_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut below = |limit: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % limit as u64).unwrap()
            };
            let (mut log, mut all) = (log(60), vec![0]);
            for _ in 0..100 {
                // Now and then comes an entry that is no dispatch, or one behind a hole.
                if seed % 2 == 0 && below(5) == 0 {
                    let jump = [0, 0, 0, 1 + below(50) as u64][below(4)];
                    let at = Cursor { epoch: 7, sequence: log.next().sequence + jump };
                    all.push(log.skip_at(at, Instant::now()).sequence());
                }
                let mut names = |most: usize| (0..below(most)).map(|_| name(below(6))).collect::<Vec<_>>();
                let targets = Targets { users: names(4), channels: names(4), broadcast: false };
                let last = append(&mut log, Targets { broadcast: below(10) == 0, ..targets });
                all.push(last);
                let mut held = |most: usize| {
                    let since = |ago: usize| Since(last.saturating_sub(ago as u64));
                    (0..below(most)).map(|number| (name(number), since(below(60)))).collect::<Vec<_>>()
                };
                let memberships = Memberships { users: held(3), channels: held(6) };
                let to = last.saturating_sub(below(4) as u64);
                let seen = to.saturating_sub(below(70) as u64);
                let found = search(&mut log, &memberships, seen, to).map(|(found, _)| found);
                let kept = all.len() <= 60 || seen >= all[all.len() - 61];
                assert_eq!(found, kept.then(|| scan(&log, &memberships, seen, to)), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_look_into_the_log_takes_a_bounded_number_of_steps() {
        const DISPATCHES: usize = 200;
        const TARGETS: usize = 100;
        let mut log = log(DISPATCHES);
        let channels: Vec<_> = (0..TARGETS).map(name).collect();
        for _ in 0..DISPATCHES {
            append(&mut log, Targets { channels: channels.clone(), ..Targets::default() });
        }
        let channels = channels.into_iter().map(|name| (name, Since::START)).collect();
        let memberships = Memberships { channels, ..Memberships::default() };
        let (found, first) = search(&mut log, &memberships, 0, DISPATCHES as u64).unwrap();
        assert_eq!(found.len(), DISPATCHES);
        // Every target is looked at once, and was indexed before.
        assert!(first > DISPATCHES * TARGETS / STEPS_PER_LOCK, "{first} looks");
        let other = Memberships { channels: vec![(name(TARGETS), Since::START)], ..Memberships::default() };
        assert_eq!(search(&mut log, &other, 0, DISPATCHES as u64).unwrap(), (vec![], 1), "none is its own");
    }

    #[test]
    fn more_than_may_be_replayed_ends_the_search() {
        let mut log = log(100);
        for _ in 0..10 {
            append(&mut log, Targets::broadcast());
        }
        let nobody = Memberships::default();
        for (most, found) in [(10, Some(SearchProgress::Done)), (9, None)] {
            let mut search = Search::new(&nobody, 0);
            search.go_on(10);
            assert_eq!(search.advance(&mut log, most), found);
        }
    }
}
