//! Two nodes without clients: what one sees of the other, and what the log keeps.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};
use turted_core::cursor::Cursor;

use super::super::sessions::SessionWrites;
use super::super::settings::Settings;
use super::super::status::{NodeSeen, Status};
use super::super::thread::live;
use super::super::values::JOBS_MAX;
use crate::engine::memory::{Chances, Loss, MemoryEngine, World};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Dispatcher, Positions};
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

/// Longer than a node may be silent.
const LONG: Duration = Duration::from_secs(20);
/// Enough for an entry to be read, and less than time between two attempts to connect.
const READ: Duration = Duration::from_millis(50);
/// Enough for what is told at once.
const SOON: Duration = Duration::from_millis(500);

/// A node without clients.
struct Node {
    process: u64,
    dispatcher: Dispatcher,
    status: Arc<Status>,
}

impl Node {
    /// Starts one that keeps so many entries, and accepts what so many replicas have.
    fn start(world: &Rc<World>, process: u64, kind: (usize, u32)) -> Self {
        let (node, mut deliveries) = Self::with_inbox(world, process, kind);
        spawn_local(async move { while deliveries.recv().await.is_some() {} });
        node
    }

    /// The same with an inbox that nobody empties.
    fn with_inbox(world: &Rc<World>, process: u64, (keeps, replicas): (usize, u32)) -> (Self, Deliveries) {
        let limits = LogLimits { dispatches: keeps, bytes: 1 << 20, age: Duration::from_secs(600) };
        let (sender, deliveries) = inbox(InboxLimits { dispatches: 64, bytes: 1 << 23 });
        let dispatcher = Dispatcher::new(0, limits, vec![sender], &Backlogs::new(usize::MAX));
        let status = Arc::new(Status::new());
        let settings = Settings { replicas, ..Settings::of_process(process) };
        let (engine, feed) = (MemoryEngine::new(world, process), dispatcher.feed());
        let (begun, has_begun) = sync_channel(1);
        let (jobs, jobs_wanted) = mpsc::channel(JOBS_MAX);
        let shown = (Arc::clone(&status), Arc::new(SessionWrites::new()));
        let (asks, questions) = mpsc::channel(1);
        spawn_local(async move {
            live(engine, settings, (feed, shown, (jobs, jobs_wanted, questions)), &begun).await;
            drop((asks, has_begun));
        });
        (Self { process, dispatcher, status }, deliveries)
    }

    /// What another node sees of this one.
    fn seen_by(&self, other: &Self) -> Option<NodeSeen> {
        other.status.nodes().into_iter().find(|node| node.process == self.process)
    }

    /// How far it has read.
    fn read(&self) -> Cursor {
        self.dispatcher.cursor(self.dispatcher.last())
    }

    /// The epoch that it reads.
    fn epoch(&self) -> u64 {
        self.read().epoch
    }

    fn losses(&self) -> u64 {
        self.status.counters.losses.load(Ordering::Relaxed)
    }
}

/// Lets two nodes run, on a clock that waits for nothing.
fn with_two(test: impl AsyncFnOnce(Rc<World>, Node, Node)) {
    with_two_of([(4_000, 0); 2], test);
}

/// The same with nodes that keep so many entries, and accept what so many replicas have.
fn with_two_of(kinds: [(usize, u32); 2], test: impl AsyncFnOnce(Rc<World>, Node, Node)) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let world = World::new(1);
        spawn_local(Rc::clone(&world).run());
        let [first, second] = [0, 1].map(|place| Node::start(&world, place as u64 + 1, kinds[place]));
        while !(first.status.follows() && second.status.follows()) {
            sleep(SOON).await;
        }
        sleep(LONG).await;
        assert!(first.seen_by(&second).is_some() && second.seen_by(&first).is_some());
        test(world, first, second).await;
    });
}

#[test]
fn a_node_that_drains_is_marked_at_once_and_heard_until_it_leaves() {
    with_two(async |_world, first, second| {
        first.status.drain();
        first.dispatcher.stop();
        sleep(SOON).await;
        assert!(first.seen_by(&second).is_some_and(|seen| seen.is_draining));
        sleep(LONG).await;
        assert!(first.seen_by(&second).is_some(), "it drains for longer than a node may be silent");
        assert!(first.status.follows());
        first.status.left.cancel();
        sleep(SOON).await;
        assert_eq!(first.seen_by(&second), None);
        sleep(LONG).await;
        assert!(second.status.silent().is_empty(), "it has said its last word");
    });
}

#[test]
fn redis_that_is_started_again_while_a_node_drains_has_lost_nothing() {
    with_two(async |world, first, second| {
        first.status.drain();
        first.dispatcher.stop();
        sleep(SOON).await;
        world.restart(Loss::Nothing, SOON);
        sleep(SOON * 5).await;
        first.status.left.cancel();
        sleep(LONG * 2).await;
        assert_eq!((first.losses(), second.losses()), (0, 0));
    });
}

#[test]
fn a_node_says_its_last_word_to_a_redis_that_is_started_again_meanwhile() {
    with_two(async |world, first, second| {
        first.status.drain();
        first.dispatcher.stop();
        sleep(SOON).await;
        world.restart(Loss::Nothing, SOON * 4);
        first.status.left.cancel();
        sleep(LONG * 2).await;
        assert_eq!((first.losses(), second.losses()), (0, 0));
        assert!(second.status.silent().is_empty());
    });
}

#[test]
fn a_witness_is_not_taken_for_silent_because_redis_stands_still() {
    with_two(async |world, first, second| {
        world.cut_off(second.process, true);
        world.restart(Loss::Nothing, SOON);
        sleep(SOON * 6).await;
        assert!(second.epoch() < first.epoch(), "it has not read that one has begun");
        world.stop(LONG);
        sleep(LONG + SOON * 6).await;
        world.cut_off(second.process, false);
        sleep(LONG * 2).await;
        assert_eq!(second.epoch(), first.epoch());
        assert_eq!((first.losses(), second.losses()), (0, 0));
    });
}

#[test]
fn nodes_know_each_other_while_redis_stands_still_and_miss_one_that_is_killed() {
    with_two(async |world, first, second| {
        world.stop(LONG * 3);
        sleep(LONG * 2).await;
        assert!(first.seen_by(&second).is_some() && second.seen_by(&first).is_some());
        assert!(second.status.silent().is_empty());
        sleep(LONG * 2).await;
        assert!(first.seen_by(&second).is_some() && second.seen_by(&first).is_some());
        world.cut_off(first.process, true);
        sleep(LONG).await;
        assert_eq!((first.seen_by(&second), second.status.silent()), (None, vec![first.process]));
        assert!(second.seen_by(&first).is_some(), "a node that is cut off knows nothing of the others");
    });
}

/// A node comes from a former master, where it was alone and has accepted something, under numbers that were given again at the
/// new one. Another epoch reigns there by then, and another loss may have been told. Returns how often the other node has told one.
fn comes_from_former_master(another_loss: bool) -> u64 {
    let mut losses = 0;
    with_two(async |world, first, second| {
        let push = async |node: &Node, count| {
            for _ in 0..count {
                node.dispatcher.broadcast("e", &1).unwrap().await.unwrap();
            }
        };
        world.pause_replica(true);
        push(&first, 1).await;
        sleep(SOON).await;
        // The second node begins an epoch at the former master, and the first one later at the new one: both count from there.
        world.cut_off(first.process, true);
        world.promote(&[second.process]);
        world.restart_former();
        sleep(SOON * 2).await;
        push(&second, 1).await;
        world.cut_off(first.process, false);
        sleep(SOON * 2).await;
        push(&first, 300).await;
        sleep(SOON).await;
        assert_eq!(first.losses(), 1, "it had read what the replica had not");
        assert!(first.read().sequence > second.read().sequence && first.epoch() > second.epoch());
        world.restart(if another_loss { Loss::Tail(1) } else { Loss::Nothing }, Duration::ZERO);
        sleep(SOON * 4).await;
        push(&second, 1).await;
        world.demote(true);
        sleep(SOON * 4).await;
        assert_eq!(first.read(), second.read());
        let epochs: BTreeSet<_> = world.log().iter().map(|(at, _)| at.epoch).collect();
        assert_eq!(epochs.len(), 4, "one more epoch begins, however much there is to read");
        losses = first.losses();
    });
    losses
}

#[test]
fn what_a_node_has_read_at_a_former_master_under_numbers_that_are_given_again_is_told_to_all() {
    assert_eq!(comes_from_former_master(false), 2, "nobody but the second node has its events");
}

#[test]
fn what_a_node_has_read_at_a_former_master_behind_the_last_loss_is_told_to_all() {
    assert_eq!(
        comes_from_former_master(true),
        3,
        "the loss before was told before it had accepted its last push"
    );
}

#[test]
fn a_node_ends_when_one_of_its_tasks_panics() {
    with_two(async |world, first, second| {
        second.status.end_all_by(|_| panic!("on purpose"));
        world.restart(Loss::Everything, SOON);
        sleep(LONG).await;
        assert!(second.status.ended.is_cancelled(), "the server stops, and is started again");
        assert!(!first.status.ended.is_cancelled() && first.status.follows());
    });
}

#[test]
fn the_log_keeps_what_the_node_keeps_that_keeps_most() {
    let length = |keep: [usize; 2]| {
        let mut length = 0;
        with_two_of(keep.map(|keeps| (keeps, 0)), async |world, _first, _second| {
            sleep(LONG * 10).await;
            length = world.log().len();
        });
        length
    };
    // Each node has a heartbeat every 5 s: 80 in all.
    assert!((4..20).contains(&length([4, 4])));
    assert!((60..100).contains(&length([4, 60])));
    assert!((60..100).contains(&length([60, 4])));
}

#[test]
fn the_log_does_not_wait_for_a_node_that_reads_no_further() {
    with_two_of([(40, 0); 2], async |world, first, _second| {
        let (stuck, _inbox) = Node::with_inbox(&world, 3, (40, 0));
        sleep(LONG * 200).await;
        assert!(stuck.seen_by(&first).is_some(), "it says that it lives");
        // Three nodes have a heartbeat every 5 s: 2,400 in all.
        assert!(world.log().len() < 300, "{}", world.log().len());
    });
}

#[test]
fn a_node_that_has_read_higher_numbers_than_a_fresh_log_has_is_not_deaf() {
    with_two(async |world, first, second| {
        [&first, &second].iter().for_each(|node| world.cut_off(node.process, true));
        world.restart(Loss::Everything, SOON);
        sleep(SOON * 2).await;
        // It knows nothing of the epochs before, and begins with the number 1.
        let fresh = Node::start(&world, 3, (4_000, 0));
        while !fresh.status.follows() {
            sleep(SOON).await;
        }
        assert!(fresh.dispatcher.last() < first.dispatcher.last());
        [&first, &second].iter().for_each(|node| world.cut_off(node.process, false));
        sleep(LONG * 2).await;
        for node in [&first, &second] {
            assert!(node.status.follows());
            assert_eq!(node.read(), fresh.read(), "it reads what the others read");
            assert_eq!(node.losses(), 1, "its clients are told");
        }
    });
}

/// What becomes of a push of the first node that was appended and read back, after its answer is lost and Redis was started
/// again.
async fn pushed_without_answer(world: &World, node: &Node, loss: Loss) -> Result<Positions, DispatchRefusal> {
    world.has_chances(Chances { after: 1_000, ..Chances::default() });
    let last = node.dispatcher.last();
    let receipt = node.dispatcher.broadcast("e", &1).unwrap();
    sleep(READ).await;
    assert!(node.dispatcher.last() > last, "it is read back");
    world.has_chances(Chances::default());
    world.restart(loss, Duration::ZERO);
    receipt.await
}

#[test]
fn a_push_that_was_read_back_is_accepted_only_if_the_log_still_has_it() {
    for (loss, expected) in [(Loss::Nothing, Ok(())), (Loss::Tail(1), Err(DispatchRefusal::LogUnavailable))] {
        with_two(async |world, first, _second| {
            let told = pushed_without_answer(&world, &first, loss).await;
            assert_eq!(told.map(drop), expected, "{loss:?}");
        });
    }
}

#[test]
fn a_push_that_was_read_back_is_not_accepted_for_replicas_that_may_not_have_it() {
    with_two_of([(4_000, 1); 2], async |world, first, _second| {
        let told = pushed_without_answer(&world, &first, Loss::Nothing).await;
        assert_eq!(told, Err(DispatchRefusal::LogUnavailable));
        assert!(first.dispatcher.broadcast("e", &2).unwrap().await.is_ok());
    });
}

#[test]
fn all_pushes_that_wait_are_refused_at_once_where_the_node_may_not_use_redis_any_more() {
    with_two(async |world, first, _second| {
        let began = Instant::now();
        world.forbid("NOPERM");
        // Each is nearly as much as is written at once.
        let large = "x".repeat(900_000);
        let waiting = [(); 4].map(|()| first.dispatcher.broadcast("e", &large).unwrap());
        for pushed in waiting {
            assert_eq!(pushed.await.map(drop), Err(DispatchRefusal::LogUnavailable));
        }
        let later = async { first.dispatcher.broadcast("e", &2)?.await };
        assert_eq!(later.await.map(drop), Err(DispatchRefusal::LogUnavailable));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    });
}
