use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use turted_core::cluster::message::{Message, Told};

use super::super::node::Clock;
use super::super::sessions::SessionWrites;
use super::super::settings::Settings;
use super::super::status::Status;
use super::super::view::View;
use super::*;
use crate::engine::memory::{Loss, MemoryEngine, World};
use crate::engine::{Changed, Ears};
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

/// A node that does nothing by itself, and the jobs that it is given.
fn node(world: &Rc<World>) -> (Rc<Node<MemoryEngine>>, mpsc::Receiver<Job>) {
    let limits = LogLimits { dispatches: 1, bytes: 1, age: Duration::from_secs(1) };
    let (jobs, wanted) = mpsc::channel(JOBS_MAX);
    let settings = Settings { number: Cell::new(1), ..Settings::of_process(1) };
    let node = Node {
        engine: MemoryEngine::new(world, 1),
        settings,
        feed: Dispatcher::new(0, limits, Vec::new(), &Backlogs::new(usize::MAX)).feed(),
        status: Arc::new(Status::new()),
        clock: Clock::new(),
        replicas: Cell::new(0),
        started: Instant::now(),
        view: RefCell::new(View::new()),
        own: RefCell::default(),
        counts: RefCell::default(),
        counted: Notify::new(),
        progress: Rc::new(Notify::new()),
        announced: RefCell::default(),
        heartbeat: Arc::default(),
        reader_stuck: Notify::new(),
        writer_stuck: Notify::new(),
        ears_stuck: Notify::new(),
        jobs,
        sessions: Arc::new(SessionWrites::new()),
    };
    (Rc::new(node), wanted)
}

/// Runs something on a clock that goes on when nothing else is to be done.
fn run_paused(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// Whether the engine answers.
async fn answers(node: &Node<MemoryEngine>) -> bool {
    let (job, answered) = Job::new(Wanted::Get { name: "a".to_owned() }, Duration::from_secs(10));
    node.jobs.send(job).await.unwrap();
    answered.await.unwrap() == Ok(Changed::Missing)
}

#[test]
fn what_others_are_told_first_on_a_connection_that_has_broken_comes_to_them() {
    run_paused(async {
        let world = World::new(1);
        spawn_local(Rc::clone(&world).run());
        let (node, jobs) = node(&world);
        spawn_local(run(Rc::clone(&node), jobs));
        assert!(answers(&node).await);
        world.restart(Loss::Nothing, Duration::ZERO);
        let mut ears = MemoryEngine::new(&world, 2).ears(2).await.unwrap();
        let told = || Told::Counts(vec![(7, 3)]);
        node.tell(Some(2), told());
        let expected = Message { from: node.settings.author(), told: told() }.encode();
        assert_eq!(ears.hear().await.unwrap().unwrap(), expected);
    });
}

#[test]
fn what_others_are_told_is_given_up_when_it_is_of_no_use_any_more() {
    run_paused(async {
        let world = World::new(1);
        let (node, mut jobs) = node(&world);
        node.tell(None, Told::Counts(Vec::new()));
        let mut waiting = vec![jobs.recv().await.unwrap()];
        give_up_old(&mut waiting);
        assert_eq!(waiting.len(), 1);
        sleep(Duration::from_secs(1)).await;
        give_up_old(&mut waiting);
        assert!(waiting.is_empty());
    });
}
