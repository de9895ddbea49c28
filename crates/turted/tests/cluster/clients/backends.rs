//! Backends that push to any node, and note what they were answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted_core::cursor::Cursor;

use super::{Crowd, Member, Target};
use crate::harness::request::{Answer, post};
use crate::harness::{Directory, until};
use crate::support::{Random, pause};

/// Pushes per second of one backend, about. One that waits for a node that stands still pushes nothing.
const RATE: u64 = 30;
/// Backends at least and at most.
const BACKENDS: [u64; 2] = [4, 24];
const ANSWER: Duration = Duration::from_secs(4);
/// How long a push with a key is repeated.
const REPEAT: Duration = Duration::from_secs(60);
/// One of so many pushes is for everyone, at least. With more than 200 clients it is one of a fifth of them, so that it makes a
/// few deliveries for each push.
const EVERYONE: usize = 40;
/// How long all clients are waited for before one more push is made to everyone.
const MARK: Duration = Duration::from_secs(3);

/// What a backend knows of a push in the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Accepted(Option<Cursor>),
    /// It was refused, and must not be delivered.
    Refused(u16, String),
    /// There was no answer, or one that says it may be delivered.
    Unsure(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) number: u64,
    pub(crate) target: Target,
    pub(crate) begun: Instant,
    pub(crate) outcome: Outcome,
    /// How often it was sent: more than once with a key alone.
    pub(crate) sent: usize,
}

/// How a backend pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each of the others in turn.
    Mixed,
    /// As text or JSON, without a key, once.
    Plain,
    /// With a key, until it is accepted, at another node each time.
    Keyed,
}

struct Shared {
    directory: Arc<Directory>,
    pushes: Mutex<Vec<Push>>,
    next: AtomicU64,
    is_over: AtomicBool,
    name: u64,
}

pub(crate) struct Backends {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Backends {
    /// Backends that push nothing by themselves.
    pub(crate) fn idle(directory: &Arc<Directory>) -> Self {
        // Keys of one run are not those of another.
        let name =
            u64::from(std::process::id()) << 32 | u64::from(NAMES.fetch_add(1, Ordering::Relaxed) as u32);
        let (pushes, next, is_over) = Default::default();
        let shared = Shared { directory: Arc::clone(directory), pushes, next, is_over, name };
        Self { shared: Arc::new(shared), threads: Vec::new() }
    }

    /// Backends that push so often in a second, to so many clients, until they are stopped.
    pub(crate) fn start(directory: &Arc<Directory>, clients: usize, rate: u64, manner: Manner) -> Self {
        let mut backends = Self::idle(directory);
        let count = (rate / RATE).clamp(BACKENDS[0], BACKENDS[1]);
        let every = Duration::from_secs(count) / u32::try_from(rate).unwrap();
        for seed in 0..count {
            let (shared, random) = (Arc::clone(&backends.shared), Random::new(seed));
            let run = move || shared.run(random, clients, every, manner);
            backends.threads.push(thread::spawn(run));
        }
        backends
    }

    /// Pushes once, with a key, until it is accepted. Returns the number.
    pub(crate) fn push(&self, target: Target) -> u64 {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.push(number, target, Manner::Keyed, &mut Random::new(number));
        number
    }

    /// Waits until every client is connected and receives what is pushed to everyone. Returns how long it took.
    pub(crate) fn reach(&self, crowd: &Crowd, within: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let number = self.push(Target::Everyone);
            let pushed = Instant::now();
            let reached = || crowd.count(|journal| journal.received.contains(&number));
            while reached() < crowd.len() && pushed.elapsed() < MARK {
                pause(Duration::from_millis(10));
            }
            if reached() == crowd.len() {
                return began.elapsed();
            }
            let told = (reached(), crowd.len(), crowd.count(|journal| journal.is_in));
            assert!(began.elapsed() < within, "reached, clients, connected: {told:?} within {within:?}");
        }
    }

    /// Waits until so many pushes are done.
    pub(crate) fn await_pushes(&self, count: usize, within: Duration) {
        until(|| format!("{count} pushes"), within, || self.count() >= count);
    }

    /// How many pushes are done so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.pushes.lock().unwrap().len()
    }

    /// How many pushes are accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        let is_accepted = |push: &&Push| matches!(push.outcome, Outcome::Accepted(_));
        self.shared.pushes.lock().unwrap().iter().filter(is_accepted).count()
    }

    /// Where the pushes are that are accepted so far, of those that were answered as JSON.
    pub(crate) fn positions(&self) -> Vec<Cursor> {
        let position = |push: &Push| match push.outcome {
            Outcome::Accepted(position) => position,
            _ => None,
        };
        self.shared.pushes.lock().unwrap().iter().filter_map(position).collect()
    }

    /// Lets those that push end what they have begun.
    pub(crate) fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }

    /// All that was pushed.
    pub(crate) fn finish(mut self) -> Vec<Push> {
        self.stop();
        std::mem::take(&mut self.shared.pushes.lock().unwrap())
    }
}

static NAMES: AtomicU64 = AtomicU64::new(0);

impl Drop for Backends {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn run(&self, mut random: Random, clients: usize, every: Duration, manner: Manner) {
        let (targets, everyone) = (Member::targets(clients), EVERYONE.max(clients / 5));
        let mut due = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let target = match random.below(everyone) {
                0 => Target::Everyone,
                _ => targets[random.below(targets.len())],
            };
            let manner = match manner {
                Manner::Mixed if random.chance(50) => Manner::Keyed,
                Manner::Mixed => Manner::Plain,
                manner => manner,
            };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.push(number, target, manner, &mut random);
            due += every;
            // What was not pushed while nodes were away is not made up for.
            due = due.max(Instant::now() - Duration::from_millis(200));
            pause(due.saturating_duration_since(Instant::now()));
        }
    }

    fn push(&self, number: u64, target: Target, manner: Manner, random: &mut Random) {
        let body = json!({"event": "E", "targets": target.json(), "payload": {"n": number}}).to_string();
        let mut headers = String::new();
        if random.chance(60) || manner == Manner::Keyed {
            headers.push_str("Accept: application/json\r\n");
        }
        if manner == Manner::Keyed {
            headers.push_str(&format!("Idempotency-Key: {:x}-{number}\r\n", self.name));
        }
        let (begun, mut sent) = (Instant::now(), 0);
        let outcome = loop {
            let answer = self.address(random).and_then(|address| {
                sent += 1;
                post(address, "/push/", &headers, &body, ANSWER)
            });
            let outcome = outcome(answer);
            let is_final =
                matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(400..=408 | 410..=499, _));
            if manner != Manner::Keyed || is_final || begun.elapsed() > REPEAT {
                break if sent > 1 { doubted(outcome) } else { outcome };
            }
            pause(Duration::from_millis(50));
        };
        self.pushes.lock().unwrap().push(Push { number, target, begun, outcome, sent });
    }

    fn address(&self, random: &mut Random) -> Option<SocketAddr> {
        let open = self.directory.open();
        if open.is_empty() {
            pause(Duration::from_millis(50));
            return None;
        }
        self.directory.address(open[random.below(open.len())])
    }
}

/// What a push that was sent before has become, if it is refused at last.
fn doubted(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused(503, rule) => Outcome::Unsure(rule),
        outcome => outcome,
    }
}

fn outcome(answer: Option<Answer>) -> Outcome {
    /// These may be delivered: docs/protocol-rest.md. The last ones are the first of them as text.
    const MAYBE: [&str; 4] = [
        "log-unavailable",
        "log-slow",
        "the log takes nothing at the moment",
        "fewer replicas of Redis have",
    ];
    let Some(answer) = answer else { return Outcome::Unsure("no answer".to_owned()) };
    if answer.status == 200 {
        let told: Option<Value> = serde_json::from_str(&answer.body).ok();
        let id = told.and_then(|told| told["id"].as_str()?.parse().ok());
        return Outcome::Accepted(id);
    }
    match MAYBE.iter().find(|rule| answer.body.contains(**rule)) {
        Some(rule) => Outcome::Unsure((*rule).to_owned()),
        None => Outcome::Refused(answer.status, answer.body),
    }
}
