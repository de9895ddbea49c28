//! Where what was missed meets what is new: clients of two workers come, join, break off and come back, also by another
//! worker or before their connection is known to be dead, while backends push and the log writer lags behind a slow disk.
//!
//! In the end each client has heard, once and in order, what was accepted after it came and after it joined.
//! `TURTED_TEST_SLOW=1` makes a run a hundred times as long, and demands that no worker is late. `member` is one of these clients.

mod member;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use turted_core::close::Close;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::epochs::{Epoch, Epochs};
use turted_core::name::Name;

use self::member::{Member, connect};
use crate::config::secrets::Secrets;
use crate::config::{Config, LogSync};
use crate::hub::client::commands;
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Dispatcher, Receipt};
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::dispatch::log::disk::double::Double;
use crate::hub::dispatch::log::{Log, LogLimits};
use crate::hub::dispatch::writer::WriterParts;
use crate::hub::run::{Queues, run};
use crate::hub::worker::connection::Client;
use crate::hub::worker::worker::{MAIL_MAX, Peers, Worker};
use crate::live::Live;
use crate::server::share;

const WORKERS: u8 = 2;
const CLIENTS: usize = 40;
/// Clients that are connected to one worker at once.
const CONNECTED: usize = 10;
const CHANNELS: usize = 8;
/// Pushes that wait for the disk together.
const BURST: usize = 8;
/// Pushes for each thing that a client does, at most.
const PUSHES_AHEAD: usize = 8;
/// One write in so many is slow, and how slow.
const SLOW_WRITE: (usize, Duration) = (100, Duration::from_millis(50));
const LATE_MAX: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(10);

/// Epochs have numbers below this, so that a client that was away may know the first one.
const EPOCHS_END: u64 = 60;

/// What the log is like.
#[derive(Clone, Copy, Debug)]
enum KeptLog<'a> {
    InMemory,
    OnDisk(&'a Double),
    /// Entries that are no dispatches stand between the pushes, and epochs begin behind holes.
    WithFillers,
}

/// A moment in the order of all pushes: behind the first, at most behind the second.
type Moment = (u64, u64);

/// What both workers and the backend share.
struct Scene {
    members: Mutex<VecDeque<Member>>,
    dispatcher: Dispatcher,
    /// What clients did.
    operations: AtomicUsize,
    has_pushed: AtomicBool,
    is_over: AtomicBool,
}

impl Scene {
    fn members(&self) -> MutexGuard<'_, VecDeque<Member>> {
        self.members.lock().unwrap()
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Does something, and tells when that was.
    fn at<T>(&self, act: impl FnOnce() -> T) -> (T, Moment) {
        let after = self.dispatcher.last();
        (act(), (after, self.dispatcher.last()))
    }
}

/// Ends the scene if its task panics: the member that it played would be missed for ever.
struct Alarm(Arc<Scene>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
    }
}

fn below(random: &mut u64, limit: usize) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    usize::try_from(*random % limit as u64).unwrap()
}

fn channel(number: usize) -> Name {
    Name::new(&number.to_string()).unwrap()
}

/// Lets one member after the other connect, join and go.
async fn play(worker: Rc<Worker>, scene: Arc<Scene>, mut random: u64) {
    let _alarm = Alarm(Arc::clone(&scene));
    while !scene.has_pushed.load(Ordering::Relaxed) {
        let Some(mut member) = scene.members().pop_front() else {
            yield_now().await;
            continue;
        };
        let (connection, listener) = connect(&worker, &scene, &mut member).await;
        scene.count();
        for _ in 0..below(&mut random, 6) {
            let number = below(&mut random, CHANNELS);
            if !member.joined.contains_key(&number) && below(&mut random, 3) == 0 {
                let join = || commands::join(Client::of(&worker, &connection), &channel(number));
                let (joined, moment) = scene.at(join);
                joined.unwrap();
                member.joined.insert(number, moment);
                scene.count();
            }
            match below(&mut random, 3) {
                0 => sleep(Duration::from_millis(1)).await,
                _ => yield_now().await,
            }
        }
        // What comes to a connection that is left alone is lost, and has to come again.
        member.heard.append(&mut listener.0.borrow_mut());
        if below(&mut random, 2) == 0 {
            connection.close(&worker, Close::TransportLost);
        }
        scene.members().push_back(member);
        scene.count();
    }
}

/// Looks at the clock until all is over. Returns how late it could do that at most, while backends pushed.
async fn latest(scene: &Scene) -> Duration {
    let mut latest = Duration::ZERO;
    while !scene.is_over.load(Ordering::Relaxed) {
        let due = Instant::now() + TICK;
        sleep(TICK).await;
        if !scene.has_pushed.load(Ordering::Relaxed) {
            latest = latest.max(due.elapsed());
        }
    }
    latest
}

/// One worker, until all is over. Returns how late it was at most.
fn work(index: u8, scene: &Arc<Scene>, make: impl FnOnce() -> (Rc<Worker>, Queues)) -> Duration {
    let _alarm = Alarm(Arc::clone(scene));
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (worker, queues) = make();
        for player in 0..CONNECTED {
            let seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(1 + u64::from(index) + 7 * player as u64);
            worker.spawn(play(Rc::clone(&worker), Arc::clone(scene), seed));
        }
        tokio::select! {
            () = run(&worker, queues) => panic!("nobody stops the worker"),
            latest = latest(scene) => latest,
        }
    })
}

/// Pushes to random channels and now and then to everyone, until there are so many operations. Returns the number and the
/// channel of each push.
fn push(scene: &Scene, log: KeptLog<'_>, operations: usize) -> Vec<(u64, Option<usize>)> {
    let (mut random, mut pushed, mut epoch) = (77, Vec::new(), 7);
    loop {
        let played = scene.operations.load(Ordering::Relaxed);
        if pushed.len() + played >= operations {
            assert!(epoch > 20 || !matches!(log, KeptLog::WithFillers), "{epoch}");
            return pushed;
        }
        if pushed.len() > PUSHES_AHEAD * (played + CLIENTS) {
            assert!(!scene.is_over.load(Ordering::Relaxed), "a client was not played to its end");
            thread::yield_now();
            continue;
        }
        if matches!(log, KeptLog::WithFillers) {
            let begun = (epoch < EPOCHS_END && below(&mut random, 10) == 0).then_some(epoch + 1);
            if below(&mut random, 2) == 0 && scene.dispatcher.skip(begun) {
                epoch = begun.unwrap_or(epoch);
            }
        }
        let mut receipts = Vec::with_capacity(BURST);
        for _ in 0..BURST {
            let number = (below(&mut random, 20) > 0).then(|| below(&mut random, CHANNELS));
            let targets = number.map_or_else(Targets::broadcast, |number| Targets::channel(channel(number)));
            let payload = serde_json::value::to_raw_value(&1).unwrap();
            let dispatch = Dispatch { event: channel(0), payload, targets };
            match scene.dispatcher.dispatch(dispatch) {
                Ok(receipt) => receipts.push((receipt, number)),
                Err(DispatchRefusal::Overload) => break,
                Err(refused) => panic!("{refused}"),
            }
        }
        let numbered = |(receipt, number): (Receipt, _)| (receipt.wait().unwrap().first().sequence, number);
        pushed.extend(receipts.into_iter().map(numbered));
    }
}

/// What a member has to hear, and what it may.
fn check(member: &Member, pushed: &[(u64, Option<usize>)]) {
    assert!(member.heard.is_sorted_by(|a, b| a < b), "once, and in order: {:?}", member.heard);
    let mut heard = member.heard.iter().copied().peekable();
    for (sequence, number) in pushed {
        let moment = match number {
            None => Some(&member.began),
            Some(number) => member.joined.get(number),
        };
        let is_heard = heard.next_if_eq(sequence).is_some();
        match moment {
            Some((_, behind)) if sequence > behind => assert!(is_heard, "{sequence} is lost"),
            Some((after, _)) if sequence > after => {}
            _ => assert!(!is_heard, "{sequence} came before {moment:?}"),
        }
    }
    assert_eq!(heard.next(), None);
}

/// Connects all members once more, until each has heard all.
async fn gather(worker: Rc<Worker>, scene: Arc<Scene>, pushed: Arc<Vec<(u64, Option<usize>)>>) {
    let mut resumed = 0;
    let members = std::mem::take(&mut *scene.members());
    assert_eq!(members.len(), CLIENTS);
    for mut member in members {
        let (_connection, listener) = connect(&worker, &scene, &mut member).await;
        while worker.seen() < scene.dispatcher.last() {
            yield_now().await;
        }
        yield_now().await;
        member.heard.append(&mut listener.0.borrow_mut());
        resumed += member.resumed;
        check(&member, &pushed);
    }
    assert!(resumed > 2 * CLIENTS, "{resumed}");
}

fn play_on(kept_log: KeptLog<'_>) {
    let is_slow = std::env::var_os("TURTED_TEST_SLOW").is_some();
    let operations = if is_slow { 1_000_000 } else { 10_000 };
    let mut config = Config { workers: usize::from(WORKERS), ..Config::default() };
    config.recovery.replay = usize::MAX;
    config.recovery.log_dispatches = 2_000_000;
    config.recovery.log_bytes = 1 << 30;
    config.recovery.max_age = Duration::from_secs(3_600);
    let shared = Arc::new(share(&config, Secrets::new(&config), (None, None), None));
    let (inboxes, deliveries): (Vec<_>, Vec<_>) =
        (0..WORKERS).map(|_| inbox(InboxLimits { dispatches: 1_000, bytes: 1 << 24 })).unzip();
    let (peers, mail): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| mpsc::channel(MAIL_MAX)).unzip();
    let (peers, first): (Peers, _) = (peers.into(), Epoch { epoch: 7, after: 0 });
    let log = Log::new(LogLimits::of(&config), first, &shared.backlogs);
    let dispatcher = Dispatcher::over(log, Epochs::new(first), inboxes, Live::default());
    if let KeptLog::OnDisk(disk) = kept_log {
        dispatcher.start_writer(WriterParts::over(disk, LogSync::Never, true)).unwrap();
    }
    let members = (0..CLIENTS).map(|_| Member::default()).collect();
    let scene = Arc::new(Scene {
        members: Mutex::new(members),
        dispatcher,
        operations: AtomicUsize::new(0),
        has_pushed: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    });
    let config = Arc::new(config);
    let (calls, late) = std_mpsc::sync_channel(usize::from(WORKERS));
    thread::scope(|scope| {
        let _alarm = Alarm(Arc::clone(&scene));
        let mut ways = Vec::new();
        for ((index, inbox), mail) in (0..WORKERS).zip(deliveries).zip(mail) {
            let (scene, config, shared) = (&scene, Arc::clone(&config), Arc::clone(&shared));
            let (peers, calls) = (Arc::clone(&peers), calls.clone());
            ways.push(peers[usize::from(index)].clone());
            scope.spawn(move || {
                let make = || {
                    let dispatcher = scene.dispatcher.clone();
                    (Worker::new(index, config, dispatcher, (shared, peers)), Queues { inbox, mail })
                };
                calls.send(work(index, scene, make)).unwrap();
            });
        }
        let quiet = scope
            .spawn(|| Builder::new_current_thread().enable_all().build().unwrap().block_on(latest(&scene)));
        let pushed = Arc::new(push(&scene, kept_log, operations));
        scene.has_pushed.store(true, Ordering::Relaxed);
        while scene.members().len() < CLIENTS {
            assert!(!scene.is_over.load(Ordering::Relaxed), "a client was not played to its end");
            thread::yield_now();
        }
        let (gathered, end) = std_mpsc::sync_channel::<()>(1);
        let all = Arc::clone(&scene);
        let gather_on = Box::new(move |worker: &Rc<Worker>| {
            let gather = gather(Rc::clone(worker), all, pushed);
            worker.spawn(async move {
                gather.await;
                gathered.send(()).unwrap();
            });
        });
        ways[0].try_send(gather_on).unwrap();
        let gathered = end.recv();
        scene.is_over.store(true, Ordering::Relaxed);
        let late = (0..WORKERS).map(|_| late.recv().unwrap()).max().unwrap();
        let machine = quiet.join().unwrap();
        assert_eq!(gathered, Ok(()), "a client has not heard what it should");
        assert!(!is_slow || late < LATE_MAX + machine, "late by {late:?}, the machine by {machine:?}");
    });
    scene.dispatcher.stop();
}

#[test]
fn what_was_missed_and_what_is_new_follow_on_each_other_while_the_disk_is_slow() {
    let disk = Double::slow_at_times(SLOW_WRITE.0, SLOW_WRITE.1);
    play_on(KeptLog::OnDisk(&disk));
    assert!(disk.seen().writes >= SLOW_WRITE.0, "{:?}", disk.seen());
}

#[test]
fn what_was_missed_and_what_is_new_follow_on_each_other_in_memory() {
    play_on(KeptLog::InMemory);
}

#[test]
fn what_was_missed_and_what_is_new_follow_on_each_other_over_epochs_and_entries_that_are_no_dispatches() {
    play_on(KeptLog::WithFillers);
}
