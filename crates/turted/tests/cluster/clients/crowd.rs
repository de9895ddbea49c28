//! Many clients in one thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::Member;
use super::client::Client;
use super::journal::{Journal, Step};
use super::way::Way;
use crate::harness::{Directory, until};
use crate::support::Random;

/// New connections a second.
const CONNECTS_PER_SECOND: u64 = 500;

pub(crate) struct Crowd {
    journals: Vec<Arc<Mutex<Journal>>>,
    cuts: Vec<Arc<Notify>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// So many clients of turted.v1 over WebSocket, which are all there.
    pub(crate) fn start(directory: &Arc<Directory>, count: usize) -> Self {
        Self::by(directory, count, &[Way::WebSocket])
    }

    /// So many clients, which are all there and connect in these ways in turn.
    pub(crate) fn by(directory: &Arc<Directory>, count: usize, ways: &[Way]) -> Self {
        let journals: Vec<_> =
            (0..count).map(|number| Arc::new(Mutex::new(Journal::new(Member::of(number, count))))).collect();
        let cuts: Vec<_> = (0..count).map(|_| Arc::new(Notify::new())).collect();
        let clients: Vec<_> = (0..)
            .zip(ways.iter().cycle())
            .zip(journals.iter().zip(&cuts))
            .map(|((seed, way), (journal, cut))| {
                Client::new(Arc::clone(directory), Arc::clone(journal), Arc::clone(cut), (seed, *way))
            })
            .collect();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || run(clients, stopped));
        let crowd = Self { journals, cuts, stop: Some(stop), thread: Some(thread) };
        crowd.await_all(Duration::from_secs(15) + Duration::from_millis(4 * count as u64));
        crowd
    }

    pub(crate) fn len(&self) -> usize {
        self.journals.len()
    }

    /// Ends the connection of one client.
    pub(crate) fn cut(&self, number: usize) {
        self.cuts[number].notify_one();
    }

    /// Ends the connections of about so many in a hundred.
    pub(crate) fn cut_some(&self, random: &mut Random, percent: usize) {
        (0..self.len()).filter(|_| random.chance(percent)).for_each(|number| self.cut(number));
    }

    /// How many journals are so.
    pub(crate) fn count(&self, is_so: impl Fn(&Journal) -> bool) -> usize {
        self.journals.iter().filter(|journal| is_so(&journal.lock().unwrap())).count()
    }

    /// Waits until all are connected. Returns how long it took.
    pub(crate) fn await_all(&self, within: Duration) -> Duration {
        let what = || format!("all {} clients are there: {:?}", self.len(), self.away());
        until(what, within, || self.count(|journal| journal.is_in) == self.len())
    }

    /// Waits until all have been told, since then, that something may be missing. Returns how long it took.
    pub(crate) fn await_told(&self, since: Instant, within: Duration) -> Duration {
        let is_told = |journal: &Journal| journal.gaps().any(|at| at >= since);
        let what = || format!("told: {} of {}, away: {:?}", self.count(is_told), self.len(), self.away());
        until(what, within, || self.count(is_told) == self.len())
    }

    /// Why clients are away, and how many.
    pub(crate) fn away(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for journal in &self.journals {
            let journal = journal.lock().unwrap();
            if !journal.is_in {
                *reasons.entry(format!("{:?}", journal.steps.last())).or_default() += 1;
            }
        }
        reasons
    }

    /// How often clients have lost their connection.
    pub(crate) fn losses(&self) -> usize {
        self.steps(|step| matches!(step, Step::Lost { .. }))
    }

    /// How often clients have come back and were told that nothing is missing.
    pub(crate) fn returns(&self) -> usize {
        self.steps(|step| matches!(step, Step::Recovered { .. }))
    }

    fn steps(&self, is_one: impl Fn(&Step) -> bool) -> usize {
        let count = |journal: &Arc<Mutex<Journal>>| {
            journal.lock().unwrap().steps.iter().filter(|step| is_one(step)).count()
        };
        self.journals.iter().map(count).sum()
    }

    /// Ends all clients; what they have heard.
    pub(crate) fn finish(mut self) -> Vec<Journal> {
        self.end();
        let journals = std::mem::take(&mut self.journals);
        journals.into_iter().map(|journal| Arc::into_inner(journal).unwrap().into_inner().unwrap()).collect()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the clients failed");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(clients: Vec<Client>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut lives = JoinSet::new();
        for client in clients {
            lives.spawn(client.live());
            tokio::time::sleep(Duration::from_millis(1_000 / CONNECTS_PER_SECOND)).await;
        }
        tokio::select! {
            ended = lives.join_next() => panic!("a client ended: {ended:?}"),
            _ = stopped => {}
        }
    });
}
