//! A node that can be frozen and killed: the tasks of its cluster thread, a dispatcher, and a worker.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep};
use turted_core::cursor::Cursor;

use super::super::sessions::SessionWrites;
use super::super::settings::Settings;
use super::super::status::Status;
use super::super::thread::{NotStarted, live};
use super::super::values::JOBS_MAX;
use super::simulation::Simulation;
use crate::engine::memory::MemoryEngine;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

/// Dispatches that may wait for the worker.
const INBOX: usize = 64;
/// A worker is busy for so long, at most.
const BUSY: Duration = Duration::from_millis(700);

/// A node that runs.
pub(super) struct Node {
    pub(super) process: u64,
    pub(super) dispatcher: Dispatcher,
    pub(super) status: Arc<Status>,
    /// How often its clients have to come back.
    pub(super) ended: Arc<AtomicUsize>,
    has_begun: Receiver<Result<(), NotStarted>>,
    is_ready: Cell<bool>,
    was_well: Cell<Instant>,
    freezer: Rc<Freezer>,
    task: JoinHandle<()>,
}

/// Whether a node does anything.
#[derive(Default)]
struct Freezer {
    is_frozen: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// Starts a node at a place.
    pub(super) fn start(simulation: &Rc<Simulation>, place: usize) -> Self {
        let process = simulation.dice.number();
        let limits = LogLimits { dispatches: simulation.log, bytes: 1 << 20, age: Duration::from_secs(600) };
        let (sender, mut deliveries) = inbox(InboxLimits { dispatches: INBOX, bytes: 1 << 20 });
        let dispatcher = Dispatcher::new(0, limits, vec![sender], &Backlogs::new(usize::MAX));
        let (status, ended) = (Arc::new(Status::new()), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&ended);
        status.end_all_by(move |_| _ = counted.fetch_add(1, Ordering::Relaxed));
        let settings = Settings { replicas: simulation.replicas, ..Settings::of_process(process) };
        let (engine, feed) = (MemoryEngine::new(&simulation.world, process), dispatcher.feed());
        let (begun, has_begun) = sync_channel(1);
        let (jobs, jobs_wanted) = mpsc::channel(JOBS_MAX);
        let shown = (Arc::clone(&status), Arc::new(SessionWrites::new()));
        let (own, (asks, questions)) = (jobs.clone(), mpsc::channel(1));
        let local = LocalSet::new();
        local.spawn_local(async move {
            live(engine, settings, (feed, shown, (own, jobs_wanted, questions)), &begun).await;
        });
        let worker = Rc::clone(simulation);
        local.spawn_local(async move {
            while let Some(delivery) = deliveries.recv().await {
                worker.deliver(place, &delivery.accepted);
                if worker.dice.happens(worker.busy_workers) {
                    sleep(worker.dice.time(BUSY)).await;
                }
            }
            drop((jobs, asks));
        });
        let freezer = Rc::<Freezer>::default();
        let task = spawn_local(freezable(local, Rc::clone(&freezer)));
        let (is_ready, was_well) = (Cell::new(false), Cell::new(Instant::now()));
        Self { process, dispatcher, status, ended, has_begun, is_ready, was_well, freezer, task }
    }

    /// Whether it does nothing.
    pub(super) fn is_frozen(&self) -> bool {
        self.freezer.is_frozen.get()
    }

    /// Whether it takes part no more.
    pub(super) fn has_ended(&self) -> bool {
        self.status.ended.is_cancelled()
    }

    /// Lets it do nothing from now on, or go on.
    pub(super) fn freeze(&self, is_frozen: bool) {
        self.freezer.is_frozen.set(is_frozen);
        if let Some(waker) = self.freezer.waker.take().filter(|_| !is_frozen) {
            waker.wake();
        }
    }

    /// Whether it takes clients and pushes.
    pub(super) fn is_ready(&self) -> bool {
        if self.has_begun.try_recv().is_ok() {
            self.dispatcher.begin_feed();
            self.is_ready.set(true);
        }
        self.is_ready.get() && !self.is_frozen()
    }

    /// How far it has read.
    pub(super) fn read(&self) -> Cursor {
        self.dispatcher.cursor(self.dispatcher.last())
    }

    /// How often it has told its clients of a loss.
    pub(super) fn losses(&self) -> u64 {
        self.status.counters.losses.load(Ordering::Relaxed)
    }

    /// How it is, for whoever looks at a fault.
    pub(super) fn describe(&self) -> String {
        let waiting = self.dispatcher.waiting();
        let (follows, failure) = (self.status.follows(), self.status.failure());
        let ended = self.ended.load(Ordering::Relaxed);
        let at = self.read();
        format!(
            "node {:x}: read {at}, {waiting} wait, follows: {follows} {failure:?}, ended {ended} times",
            self.process
        )
    }

    /// Looks whether it reads and appends.
    pub(super) fn look(&self) {
        if self.takes_clients() && self.status.failure().is_none() {
            self.was_well.set(Instant::now());
        }
    }

    /// For how long it has not been seen to read and append.
    pub(super) fn unwell(&self) -> Duration {
        self.was_well.get().elapsed()
    }

    /// Whether a balancer would send clients to it.
    pub(super) fn takes_clients(&self) -> bool {
        self.is_ready() && self.status.follows()
    }
}

/// Polls the tasks of a node while it is not frozen.
async fn freezable(local: LocalSet, freezer: Rc<Freezer>) {
    let mut local = Box::pin(local);
    poll_fn(move |context| {
        if freezer.is_frozen.get() {
            *freezer.waker.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut local).poll(context)
    })
    .await;
}
