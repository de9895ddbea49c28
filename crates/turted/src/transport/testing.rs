//! A worker for tests of sessions: its loops run, but it listens on no socket, and its time passes when it has
//! nothing to do.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::hub::delivery::metrics::{CLOSE_REASONS, Carrier};
use crate::hub::delivery::outlet::{Flushed, Ledger, RequestOutlet, RequestState, Sending, Sent};
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::hub::run::{Queues, run};
use crate::hub::worker::worker::{MAIL_MAX, Worker};
use crate::server::share;

/// Where clients of tests come from.
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Runs a test on a worker with the defaults but for what `change` changes.
pub(super) fn on_worker(change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(Rc<Worker>)) {
    let mut config = Config { workers: 1, ..Config::default() };
    change(&mut config);
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (worker, queues) = worker(config);
        tokio::select! {
            () = run(&worker, queues) => panic!("nobody stops the worker"),
            () = test(Rc::clone(&worker)) => {}
        }
    });
}

fn worker(config: Config) -> (Rc<Worker>, Queues) {
    let shared = Arc::new(share(&config, Secrets::new(&config), (None, None), None));
    let limits = InboxLimits { dispatches: config.limits.inbox_dispatches, bytes: config.limits.inbox_bytes };
    let (inbox_sender, inbox) = inbox(limits);
    let (mail_sender, mail) = mpsc::channel(MAIL_MAX);
    let dispatcher = Dispatcher::new(7, LogLimits::of(&config), vec![inbox_sender], &shared.backlogs)
        .with_history(&config, None);
    let worker = Worker::new(0, Arc::new(config), dispatcher, (shared, vec![mail_sender].into()));
    (worker, Queues { inbox, mail })
}

/// How many connections of a worker ended for this reason.
pub(super) fn closes(worker: &Worker, reason: &str) -> u64 {
    let index = CLOSE_REASONS.iter().position(|own| *own == reason).expect("a reason there is");
    worker.metrics.closes().nth(index).expect("one for each reason")
}

/// A way out that keeps the messages that were sent, for a test to read.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    carrier: Carrier,
    messages: Rc<RefCell<Vec<String>>>,
    /// Whether its client is taking bytes at the moment.
    is_being_taken: bool,
}

impl Recorder {
    /// One that is counted under this carrier.
    pub(super) fn new(carrier: Carrier) -> Self {
        Self { carrier, messages: Rc::default(), is_being_taken: false }
    }

    /// The same, whose client is taking bytes all the time.
    pub(super) fn being_taken(carrier: Carrier) -> Self {
        Self { is_being_taken: true, ..Self::new(carrier) }
    }

    /// What was sent since the last look.
    pub(super) fn heard(&self) -> Vec<String> {
        self.messages.take()
    }
}

impl RequestOutlet for Recorder {
    fn send(&mut self, sending: Sending<'_>, _: &Rc<Ledger>) -> Sent {
        let mut messages = self.messages.borrow_mut();
        match sending {
            Sending::Frames(frames) => {
                messages.extend(frames.iter().map(|frame| frame.message().to_owned()));
            }
            Sending::Ahead(frame) => messages.insert(0, frame.message().to_owned()),
            Sending::Missed(missed) => {
                messages.extend(missed.into_frames().map(|frame| frame.message().to_owned()));
            }
        }
        Sent::Yes
    }

    fn flush(&mut self, _: &Rc<Ledger>) -> Flushed {
        Flushed { sent: Sent::Yes, bytes: 0 }
    }

    fn carrier(&self) -> Carrier {
        self.carrier
    }

    fn state(&self) -> RequestState<'_> {
        RequestState { is_being_taken: self.is_being_taken, ..RequestState::NOTHING_WAITS }
    }
}
