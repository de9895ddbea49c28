//! The log writer over a disk that is slow or fails: what is handed over, when, and what is refused.

use std::collections::HashSet;
use std::io::ErrorKind;

use tokio::sync::mpsc;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::epochs::{Epoch, Epochs};
use turted_core::name::Name;

use super::*;
use crate::hub::dispatch::dispatcher::{Dispatcher, Receipt};
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::disk::double::Double;
use crate::hub::dispatch::log::health::LogState;
use crate::hub::dispatch::log::{Log, LogLimits};
use crate::io::backlogs::Backlogs;

const FIRST: Epoch = Epoch { epoch: 7, after: 100 };

impl WriterParts {
    /// A writer over a disk of a test, which is not written anew.
    pub(crate) fn over(disk: &Double, sync: LogSync, required: bool) -> Self {
        let (clock, renewed) = (LogClock::start(Duration::ZERO), Box::new(|| {}));
        let settings = WriterSettings { directory: None, sync, required, clock, renewed };
        Self { store: Ok(Box::new(disk.clone())), settings }
    }
}

struct Bench {
    disk: Double,
    dispatcher: Dispatcher,
    inbox: Deliveries,
}

impl Bench {
    /// A dispatcher over a log that ends with 100, whose worker has room for so many dispatches.
    fn new(disk: Double, sync: LogSync, required: bool, dispatches: usize) -> Self {
        let limits = LogLimits { dispatches: 1_000, bytes: 1 << 20, age: Duration::from_secs(60) };
        let log = Log::new(limits, FIRST, &Backlogs::new(usize::MAX));
        let (sender, inbox) = inbox(InboxLimits { dispatches, bytes: 1 << 20 });
        let dispatcher =
            Dispatcher::over(log, Epochs::new(FIRST), vec![sender], crate::live::Live::default());
        dispatcher.start_writer(WriterParts::over(&disk, sync, required)).unwrap();
        Self { disk, dispatcher, inbox }
    }

    fn push(&self, event: usize) -> Result<Receipt, DispatchRefusal> {
        self.dispatcher.dispatch(dispatch(event))
    }

    fn handed_over(&mut self) -> Vec<(String, u64)> {
        let next = || self.inbox.try_recv().ok();
        let all = std::iter::from_fn(next);
        all.map(|delivery| {
            let accepted = &delivery.accepted;
            (accepted.dispatch.event.as_str().to_owned(), accepted.sequence())
        })
        .collect()
    }
}

fn dispatch(event: usize) -> Dispatch {
    let payload = serde_json::value::to_raw_value(&1).unwrap();
    Dispatch { event: Name::new(&event.to_string()).unwrap(), payload, targets: Targets::broadcast() }
}

#[test]
fn a_push_is_written_before_it_is_handed_over_and_numbers_follow_on_those_of_former_lives() {
    let mut bench = Bench::new(Double::default(), LogSync::Never, false, 100);
    let receipts: Vec<_> = (0..10).map(|event| bench.push(event).unwrap()).collect();
    for (receipt, number) in receipts.into_iter().zip(101..) {
        assert_eq!(receipt.wait().unwrap().first().sequence, number);
        assert!(bench.disk.seen().written >= number);
    }
    let expected: Vec<_> = (0..10).map(|event| (event.to_string(), 101 + event)).collect();
    assert_eq!(bench.handed_over(), expected);
    assert_eq!(bench.disk.seen().syncs, 0);
    assert_eq!(bench.dispatcher.log_health().state(), LogState::OnDisk);
}

#[test]
fn pushes_that_wait_share_a_sync_which_comes_before_they_are_handed_over() {
    let disk = Double::slow(Duration::ZERO, Duration::from_millis(5));
    let bench = Bench::new(disk, LogSync::Always, false, 10_000);
    let receipts: Vec<_> = (0..1_000).map(|event| bench.push(event).unwrap()).collect();
    for receipt in receipts {
        let number = receipt.wait().unwrap().first().sequence;
        assert!(bench.disk.seen().synced >= number);
    }
    let seen = bench.disk.seen();
    assert!(seen.pushes >= 20 * seen.syncs, "{seen:?}");
}

#[test]
fn what_waits_for_the_disk_takes_room_in_the_inboxes() {
    let mut bench =
        Bench::new(Double::slow(Duration::from_millis(200), Duration::ZERO), LogSync::Never, false, 10);
    let receipts: Vec<_> = (0..10).map(|event| bench.push(event).unwrap()).collect();
    assert_eq!(bench.push(10).unwrap_err(), DispatchRefusal::Overload, "nothing is in the inbox yet");
    receipts.into_iter().for_each(|receipt| _ = receipt.wait().unwrap());
    assert_eq!(bench.handed_over().len(), 10, "what was refused left no trace");
    assert_eq!(bench.push(11).unwrap().wait().unwrap().first().sequence, 111);
}

#[test]
fn a_disk_that_fails_is_left_behind_and_what_it_did_not_take_begins_a_new_epoch() {
    let mut bench = Bench::new(Double::default(), LogSync::Never, false, 100);
    let before = bench.push(0).unwrap().wait().unwrap().first();
    bench.disk.fail(Some(ErrorKind::StorageFull));
    let after = bench.push(1).unwrap().wait().unwrap().first();
    assert!(bench.disk.seen().is_left_behind);
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.sequence, before.sequence + 1);
    let numbers = [before, after].map(|cursor| bench.dispatcher.number(cursor));
    assert_eq!(numbers, [Some(101), Some(102)], "positions of before stay good");
    assert!(matches!(bench.dispatcher.log_health().state(), LogState::Left(_)));
    assert_eq!(bench.handed_over().len(), 2);
    assert_eq!(bench.push(2).unwrap().wait().unwrap().first().epoch, after.epoch);
}

#[test]
fn until_the_directory_is_marked_pushes_are_refused_whatever_is_configured() {
    for required in [false, true] {
        let mut bench = Bench::new(Double::default(), LogSync::Never, required, 100);
        bench.disk.fail(Some(ErrorKind::StorageFull));
        bench.disk.fail_mark(Some(ErrorKind::ReadOnlyFilesystem));
        bench.disk.break_down();
        assert_eq!(bench.push(0).unwrap().wait(), Err(DispatchRefusal::LogUnavailable));
        assert_eq!(bench.push(1).unwrap_err(), DispatchRefusal::LogUnavailable);
        assert!(bench.handed_over().is_empty());
        bench.disk.fail_mark(None);
        while !bench.disk.seen().is_left_behind {
            thread::yield_now();
        }
        if !required {
            while bench.push(2).and_then(Receipt::wait).is_err() {
                thread::yield_now();
            }
            assert_eq!(bench.handed_over().len(), 1);
        }
    }
}

#[test]
fn a_log_that_is_required_refuses_what_the_disk_does_not_take_and_goes_on_when_it_does() {
    let mut bench = Bench::new(Double::default(), LogSync::Never, true, 100);
    let before = bench.push(0).unwrap().wait().unwrap().first();
    bench.disk.fail(Some(ErrorKind::StorageFull));
    assert_eq!(bench.push(1).unwrap().wait(), Err(DispatchRefusal::LogUnavailable));
    assert!(matches!(bench.dispatcher.log_health().state(), LogState::Refusing(_)));
    bench.disk.fail(None);
    let after = bench.push(2).unwrap().wait().unwrap().first();
    assert_eq!((after.epoch, after.sequence), (before.epoch, before.sequence + 1));
    assert!(!bench.disk.seen().is_left_behind);
    assert_eq!(bench.handed_over(), [("0".to_owned(), 101), ("2".to_owned(), 102)]);
    assert_eq!(bench.dispatcher.log_health().state(), LogState::OnDisk);
}

#[test]
fn a_stop_writes_what_waits_and_ends_the_log_with_the_last_number() {
    let mut bench =
        Bench::new(Double::slow(Duration::from_millis(20), Duration::ZERO), LogSync::Never, false, 1_000);
    let receipts: Vec<_> = (0..100).map(|event| bench.push(event).unwrap()).collect();
    bench.dispatcher.stop();
    assert_eq!(bench.push(100).unwrap_err(), DispatchRefusal::Stopped);
    let ending = bench.dispatcher.wait_for_writer().expect("the log is on disk");
    let numbers: HashSet<_> =
        receipts.into_iter().map(|receipt| receipt.wait().unwrap().first().sequence).collect();
    assert_eq!(numbers, (101..=200).collect());
    assert_eq!(bench.handed_over().len(), 100);
    ending.end();
    assert_eq!(bench.disk.seen().ended_at, Some(200));
}

#[test]
fn an_interval_syncs_what_was_written_also_if_nothing_follows() {
    let bench = Bench::new(Double::default(), LogSync::Interval(Duration::from_millis(20)), false, 100);
    bench.push(0).unwrap().wait().unwrap();
    while bench.disk.seen().synced < 101 {
        thread::yield_now();
    }
    assert_eq!(bench.disk.seen().syncs, 1);
}

#[test]
fn a_disk_that_hangs_is_told_and_holds_up_neither_pushes_nor_a_stop() {
    let mut bench =
        Bench::new(Double::slow(Duration::from_secs(600), Duration::ZERO), LogSync::Never, false, 100);
    let waiting = bench.push(0).unwrap();
    let refused = loop {
        match bench.push(1) {
            Ok(_) => thread::yield_now(),
            Err(DispatchRefusal::Overload) => thread::yield_now(),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refused, DispatchRefusal::LogUnavailable);
    assert!(matches!(bench.dispatcher.log_health().state(), LogState::Refusing(_)));
    bench.dispatcher.stop();
    while !matches!(bench.inbox.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)) {
        thread::yield_now();
    }
    assert!(bench.dispatcher.wait_for_writer().is_none(), "there is no clean end");
    drop(waiting);
}

#[test]
fn a_directory_whose_sessions_cannot_be_believed_is_left_behind() {
    let bench = Bench::new(Double::default(), LogSync::Never, false, 100);
    let before = bench.push(0).unwrap().wait().unwrap().first();
    bench.dispatcher.leave_log();
    while !bench.disk.seen().is_left_behind {
        thread::yield_now();
    }
    while bench.dispatcher.cursor(before.sequence + 1).epoch == before.epoch {
        thread::yield_now();
    }
    assert_ne!(bench.push(1).unwrap().wait().unwrap().first().epoch, before.epoch);
}

#[test]
fn a_push_that_may_stand_on_a_failed_disk_is_dispatched_also_where_the_disk_is_required() {
    let mut bench = Bench::new(Double::default(), LogSync::Always, true, 100);
    let before = bench.push(0).unwrap().wait().unwrap().first();
    bench.disk.fail(Some(ErrorKind::Other));
    bench.disk.break_down();
    bench.disk.leave_uncut();
    // A later start would find its key and answer for it.
    let after = bench.push(1).unwrap().wait().unwrap().first();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(bench.handed_over().len(), 2);
    while bench.push(2).is_ok_and(|receipt| receipt.wait().is_ok()) {
        thread::yield_now();
    }
    assert_eq!(bench.push(3).unwrap_err(), DispatchRefusal::LogUnavailable);
}
