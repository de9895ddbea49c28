//! The contract, kept by a source of a list: what it is told, and when.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::LocalSet;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::config::secrets::Secrets;
use crate::config::{Config, LogSync, SourceKind, StartAt, TailSource};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Dispatcher};
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::hub::dispatch::log::disk::double::Double;
use crate::hub::dispatch::writer::WriterParts;
use crate::io::backlogs::Backlogs;
use crate::push::intake::{Labels, Reading};

/// What one call of `next` does.
enum Next {
    Messages(&'static [u32]),
    Fail,
}

thread_local! {
    /// What the connections of this test give, each with the messages of one list after the other.
    static SCRIPT: RefCell<VecDeque<Vec<Next>>> = const { RefCell::new(VecDeque::new()) };
    /// What was called.
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn call(what: impl Into<String>) {
    CALLS.with_borrow_mut(|calls| calls.push(what.into()));
}

fn calls() -> Vec<String> {
    CALLS.with_borrow_mut(std::mem::take)
}

struct List;

struct ListFeed(VecDeque<Next>);

impl Connector for List {
    type Feed = ListFeed;

    fn open(_source: &PushSource, _status: &Arc<Status>) -> Option<Result<Self, Failure>> {
        None
    }

    async fn connect(&mut self) -> Result<ListFeed, Failure> {
        match SCRIPT.with_borrow_mut(VecDeque::pop_front) {
            Some(lists) => {
                call("connect");
                Ok(ListFeed(lists.into()))
            }
            None => Err(Failure("there is no other connection".into())),
        }
    }

    fn check(_source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_>> {
        None::<std::future::Ready<_>>
    }
}

impl Feed for ListFeed {
    type Tag = u32;

    async fn next(&mut self) -> Result<Vec<Message<u32>>, Failure> {
        let message = |&tag: &u32| {
            let push = format!(r#"{{"event":"E{tag}","targets":{{"users":["u"]}}}}"#);
            // 0 is no push.
            let body = Ok(Bytes::from(if tag == 0 { String::new() } else { push }));
            Message { tag, body, id: Some(tag.to_string()), is_redelivered: false, labels: Labels::default() }
        };
        match self.0.pop_front() {
            Some(Next::Messages(tags)) => Ok(tags.iter().map(message).collect()),
            Some(Next::Fail) => Err(Failure("the connection is lost".into())),
            None => std::future::pending().await,
        }
    }

    fn settle(&mut self, message: &Message<u32>, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Refused(refusal) => refusal.rule.to_owned(),
            other => format!("{other:?}"),
        };
        call(format!("{} {outcome}", message.tag));
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        call("flush");
        Ok(())
    }

    async fn renew(&mut self, waiting: &[Message<u32>]) -> Result<(), Failure> {
        call(format!("renew {}", waiting.len()));
        Ok(())
    }

    async fn close(self) -> Result<(), Failure> {
        call("close");
        Ok(())
    }
}

/// Runs the source on these connections, with room for 20 dispatches, until `test` is done.
async fn with<T: Future<Output = ()>>(
    script: Vec<Vec<Next>>,
    test: impl FnOnce(CancellationToken, Deliveries, Arc<Status>) -> T,
) {
    with_disk(script, None, test).await;
}

/// The same, with the log on this disk if there is one.
async fn with_disk<T: Future<Output = ()>>(
    script: Vec<Vec<Next>>,
    disk: Option<&Double>,
    test: impl FnOnce(CancellationToken, Deliveries, Arc<Status>) -> T,
) {
    SCRIPT.set(script.into());
    let tail = TailSource {
        paths: vec![PathBuf::from("log")],
        from: StartAt::End,
        state_dir: PathBuf::from("state"),
        line_bytes: 1_000,
    };
    let (name, kind) = ("s".to_owned(), SourceKind::Tail(tail));
    let source = PushSource { name, require_auth: false, map: None, kind };
    let mut config = Config::default();
    config.limits.inbox_dispatches = 20;
    let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
    let limits = InboxLimits { dispatches: config.limits.inbox_dispatches, bytes: 1 << 20 };
    let (sender, receiver) = inbox(limits);
    let dispatcher = Dispatcher::new(7, log, vec![sender], &Backlogs::new(usize::MAX));
    if let Some(disk) = disk {
        let parts = WriterParts::over(disk, LogSync::Always, true);
        dispatcher.start_writer(parts).unwrap();
    }
    let (reading, status) =
        (Reading::new(&source, &config, &Secrets::new(&config).push), Status::new(&source));
    let intake = Intake::new(reading, &dispatcher, Arc::clone(&status));
    let stop = CancellationToken::new();
    let local = LocalSet::new();
    let running = Rc::new(local.spawn_local(run::run(List, intake, None, stop.clone())));
    local.run_until(test(stop.clone(), receiver, status)).await;
    stop.cancel();
    local.run_until(async { Rc::into_inner(running).unwrap().await.unwrap() }).await;
}

#[tokio::test(start_paused = true)]
async fn each_message_is_settled_in_order_and_each_list_is_flushed() {
    let script = vec![vec![Next::Messages(&[1, 0, 2]), Next::Messages(&[]), Next::Messages(&[1])]];
    with(script, async |_, _inbox, status| {
        sleep(Duration::from_millis(1)).await;
        assert!(status.is_up());
        let first = ["connect", "1 Accepted", "0 not-json", "2 Accepted", "flush"];
        assert_eq!(calls(), [&first[..], &["flush", "1 Duplicate", "flush"]].concat());
    })
    .await;
    assert_eq!(calls(), ["close"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_tried_again_and_what_comes_again_is_a_duplicate() {
    let script =
        vec![vec![Next::Messages(&[1]), Next::Fail], vec![Next::Fail], vec![Next::Messages(&[1, 2])]];
    with(script, async |_, _inbox, status| {
        let began = Instant::now();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(
            (calls(), status.is_up()),
            (vec!["connect".into(), "1 Accepted".into(), "flush".into()], false)
        );
        assert_eq!(status.failure().as_deref(), Some("the connection is lost"));
        while !status.is_up() {
            sleep(Duration::from_millis(1)).await;
        }
        // 0.05 to 0.1 s, then twice as long.
        assert!((150..=310).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert_eq!(calls(), ["connect", "connect", "1 Duplicate", "2 Accepted", "flush"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_is_renewed_and_accepted_when_there_is_some() {
    let script = vec![vec![Next::Messages(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])]];
    with(script, async |_, mut inbox, status| {
        sleep(Duration::from_secs(21)).await;
        let called = calls();
        assert_eq!(called[..2], ["connect", "1 Accepted"]);
        assert_eq!(
            called[11..],
            ["11 Accepted", "renew 2", "renew 2"],
            "an inbox for 20 is half full with 11"
        );
        assert!(status.waited() > Duration::from_secs(20));
        inbox.try_recv().unwrap();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(calls(), ["12 Accepted"]);
        inbox.try_recv().unwrap();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(calls(), ["13 Accepted", "flush"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_what_was_read_is_accepted_within_two_seconds_and_the_rest_is_left() {
    let script =
        vec![vec![Next::Messages(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]), Next::Messages(&[14])]];
    with(script, async |stop, mut inbox, _| {
        sleep(Duration::from_millis(10)).await;
        assert_eq!(calls().len(), 12);
        stop.cancel();
        sleep(Duration::from_millis(1_900)).await;
        inbox.try_recv().unwrap();
        sleep(Duration::from_millis(50)).await;
        assert_eq!(calls(), ["12 Accepted"]);
        advance(Duration::from_millis(100)).await;
    })
    .await;
    assert_eq!(calls(), ["close"], "13 is not settled, and 14 is not read");
}

/// Lets time pass until the disk, which is not paused, has brought something about.
async fn until(is_done: impl Fn() -> bool) {
    while !is_done() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_log_on_disk_messages_share_a_sync_and_are_settled_in_their_order() {
    let disk = Double::slow(Duration::ZERO, Duration::from_millis(20));
    let script = vec![vec![Next::Messages(&[1, 2, 0, 1, 3, 4, 5])]];
    with_disk(script, Some(&disk), async |_, _inbox, status| {
        until(|| status.outcomes().iter().sum::<u64>() == 7).await;
        let first = ["connect", "1 Accepted", "2 Accepted", "0 not-json", "1 Duplicate"];
        assert_eq!(calls(), [&first[..], &["3 Accepted", "4 Accepted", "5 Accepted", "flush"]].concat());
        let seen = disk.seen();
        assert_eq!((seen.pushes, seen.keys), (5, 5));
        assert!(seen.syncs < 5, "{seen:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_disk_refuses_comes_again_with_all_that_was_under_way_behind_it() {
    let disk = Double::default();
    disk.fail(Some(ErrorKind::StorageFull));
    let list = || vec![Next::Messages(&[1, 2, 0, 1, 3])];
    with_disk(vec![list(), list()], Some(&disk), async |_, _inbox, status| {
        until(|| status.failure().is_some()).await;
        assert_eq!(calls(), ["connect"], "nothing is settled");
        assert_eq!(status.failure().unwrap(), DispatchRefusal::LogUnavailable.to_string());
        disk.fail(None);
        until(|| status.outcomes().iter().sum::<u64>() == 5).await;
        let expected = ["connect", "1 Accepted", "2 Accepted", "0 not-json", "1 Duplicate", "3 Accepted"];
        assert_eq!(calls(), [&expected[..], &["flush"]].concat());
    })
    .await;
}
