//! The cluster thread: from its start, when it reads all that is kept, to its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::claims::Question;
use super::handle::Cluster;
use super::job::{Job, Wanted};
use super::lease::{LEASE, PAUSE, in_time};
use super::node::{Clock, Node};
use super::random;
use super::sessions::SessionWrites;
use super::settings::Settings;
use super::status::Status;
use super::values::JOBS_MAX;
use super::view::View;
use super::ways::Way;
use super::{ears, reader, values, watch, writer};
use crate::engine::{Change, Changed, Engine, Failure, Values};
use crate::hub::dispatch::feed::Feed;

/// Time between two renewals.
const RENEWAL: Duration = Duration::from_secs(5);
/// Numbers that are tried at a start.
const NUMBERS: usize = 64;
/// How long a start waits for the history of another node.
const FILL_MAX: Duration = Duration::from_secs(5);
/// Time between two looks whether it is ready.
const READY_PAUSE: Duration = Duration::from_millis(20);
/// How long the end may take.
const END_MAX: Duration = Duration::from_secs(5);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// The engine can never be used like this.
    #[error("{0}")]
    Unusable(String),
    /// There is no thread.
    #[error("cannot start the thread of the cluster: {0}")]
    Thread(#[from] io::Error),
}

/// The thread. It ends when its node has left.
pub(crate) struct ClusterThread {
    cluster: Cluster,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for ClusterThread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClusterThread").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl ClusterThread {
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether the thread takes part no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.cluster.status.ended.is_cancelled()
    }

    /// Waits until the thread takes part no more: by itself, if it was not told to. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.cluster.status.ended.cancelled().await;
    }

    /// Lets the node leave, and waits for it. The dispatcher has stopped before.
    pub(crate) fn leave(mut self) {
        self.cluster.status.left.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the cluster panicked");
        }
    }
}

/// Tells when a node has read all that the log keeps.
#[derive(Debug)]
pub(crate) struct Begun(Receiver<Result<(), NotStarted>>);

impl Begun {
    /// Waits for that, however long the engine is away.
    ///
    /// # Errors
    /// The engine cannot be used as it is.
    pub(crate) fn wait(self) -> Result<(), NotStarted> {
        let gone = |_| NotStarted::Unusable("the thread of the cluster has ended".to_owned());
        self.0.recv().map_err(gone)?
    }
}

/// Starts the thread.
///
/// # Errors
/// The operating system refuses it.
pub(crate) fn start<E: Engine>(
    engine: impl FnOnce() -> E + Send + 'static,
    settings: Settings,
    (feed, questions): (Feed, mpsc::Receiver<Question>),
) -> Result<(ClusterThread, Begun), NotStarted> {
    let (begun, has_begun) = sync_channel(1);
    let (sender, jobs) = mpsc::channel(JOBS_MAX);
    let own = sender.clone();
    let (status, sessions) = (Arc::new(Status::new()), Arc::new(SessionWrites::new()));
    let process = settings.process;
    let shown = (Arc::clone(&status), Arc::clone(&sessions));
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                runtime.block_on(live(engine(), settings, (feed, shown, (own, jobs, questions)), &begun));
            }
            Err(error) => drop(begun.send(Err(NotStarted::Thread(error)))),
        }
    };
    let thread = thread::Builder::new().name("turted-cluster".to_owned()).spawn(run)?;
    let cluster = Cluster { process, status, jobs: sender, sessions };
    Ok((ClusterThread { cluster, thread: Some(thread) }, Begun(has_begun)))
}

/// What the thread shares with the rest of the program.
type Shown = (Arc<Status>, Arc<SessionWrites>);

/// Who asks the thread, what it is asked, and what those ask who pass requests on.
pub(super) type Wishes = (mpsc::Sender<Job>, mpsc::Receiver<Job>, mpsc::Receiver<Question>);

pub(super) async fn live<E: Engine>(
    engine: E,
    settings: Settings,
    (feed, (status, sessions), (sender, jobs, questions)): (Feed, Shown, Wishes),
    begun: &SyncSender<Result<(), NotStarted>>,
) {
    let _ended = status.ended.clone().drop_guard();
    if let Err(refused) = until_done(&status, || engine.rights()).await {
        return drop(begun.send(Err(NotStarted::Unusable(refused))));
    }
    if let Err(refused) = settings.proof.show(&engine, &status).await {
        return drop(begun.send(Err(NotStarted::Unusable(refused))));
    }
    let number = match take_number(&engine, &status).await {
        Ok(number) => number,
        Err(unusable) => return drop(begun.send(Err(NotStarted::Unusable(unusable)))),
    };
    settings.number.set(number);
    let heartbeat = Arc::clone(&status.heartbeat);
    let node = Rc::new(Node {
        engine,
        settings,
        feed,
        status,
        clock: Clock::new(),
        replicas: Cell::new(0),
        started: Instant::now(),
        view: RefCell::new(View::new()),
        own: RefCell::default(),
        counts: RefCell::default(),
        progress: Rc::new(Notify::new()),
        heartbeat,
        counted: Notify::new(),
        reader_stuck: Notify::new(),
        writer_stuck: Notify::new(),
        ears_stuck: Notify::new(),
        announced: RefCell::default(),
        jobs: sender,
        sessions,
    });
    node.has_number();
    let (mut tasks, ends) = tasks(&node, (jobs, questions));
    let is_whole = tokio::select! {
        biased;
        () = one_panics(&mut tasks) => false,
        () = take_part(&node, begun, ends) => true,
    };
    // They end with this.
    drop(tasks);
    node.status.questions.end();
    node.status.watches.end();
    if is_whole {
        drop(timeout(END_MAX, release_number(&node)).await);
    } else {
        tracing::error!("a task of the cluster ended in a panic");
        // It may have been the writer, which does so as a rule.
        node.feed.close();
    }
}

/// Tells when a node has the history of another one, and when its writer has said its last word.
struct Ends {
    has_filled: oneshot::Receiver<()>,
    has_left: oneshot::Receiver<()>,
}

/// The tasks of a node.
fn tasks<E: Engine>(
    node: &Rc<Node<E>>,
    (jobs, questions): (mpsc::Receiver<Job>, mpsc::Receiver<Question>),
) -> (JoinSet<()>, Ends) {
    let ((left, has_left), (filled, has_filled)) = (oneshot::channel(), oneshot::channel());
    let (mut tasks, writer, filling) = (JoinSet::new(), Rc::clone(node), Rc::clone(node));
    tasks.spawn_local(async move {
        writer::run(writer).await;
        // Whoever waits for it has gone if another task has panicked.
        let _ = left.send(());
    });
    tasks.spawn_local(async move {
        until_ready(&filling).await;
        super::history::fill(filling).await;
        // Whoever waits for it may have gone on.
        let _ = filled.send(());
    });
    tasks.spawn_local(reader::run(Rc::clone(node)));
    tasks.spawn_local(watch::run(Rc::clone(node)));
    tasks.spawn_local(values::run(Rc::clone(node), jobs));
    tasks.spawn_local(ears::run(Rc::clone(node)));
    tasks.spawn_local(values::answer(Rc::clone(node), questions));
    tasks.spawn_local(super::counts::run(Rc::clone(node)));
    tasks.spawn_local(renew_number(Rc::clone(node)));
    tasks.spawn_local(keep_proof(Rc::clone(node)));
    tasks.spawn_local(super::history::record(Rc::clone(node)));
    (tasks, Ends { has_filled, has_left })
}

/// Waits until a task ends in a panic. Cancel safe.
async fn one_panics(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err_and(|error| error.is_panic()) {
            return;
        }
    }
    std::future::pending().await
}

/// Waits until a node reads and appends.
async fn until_ready<E: Engine>(node: &Node<E>) {
    while !(node.status.follows() && node.status.is_up()) {
        sleep(READY_PAUSE).await;
    }
}

/// Says when this node has read all that the log keeps, and waits until it has left.
async fn take_part<E: Engine>(
    node: &Rc<Node<E>>,
    begun: &SyncSender<Result<(), NotStarted>>,
    Ends { has_filled, has_left }: Ends,
) {
    until_ready(node).await;
    // It goes on behind the start, if another node takes longer.
    drop(timeout(FILL_MAX, has_filled).await);
    drop(begun.send(Ok(())));
    // When the dispatcher has stopped and the server has told its clients.
    drop(has_left.await);
    // What clients were when they were told to come back elsewhere.
    drop(timeout(END_MAX, node.sessions.all_written()).await);
    node.sessions.give_up();
}

/// Takes a number that no other node has. Waits for the engine.
async fn take_number<E: Engine>(engine: &E, status: &Status) -> Result<u16, String> {
    until_done(status, || try_number(engine)).await
}

/// Tries something at the start for as long as the engine is away.
async fn until_done<T>(status: &Status, attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T, String> {
    loop {
        match in_time(attempt()).await {
            Ok(done) => return Ok(done),
            Err(Failure::Unusable(reason)) => return Err(reason),
            Err(failure) => status.failed(Way::Start, &failure.to_string()),
        }
        sleep(PAUSE).await;
    }
}

async fn try_number<E: Engine>(engine: &E) -> Result<u16, Failure> {
    let mut values = engine.values().await?;
    for _ in 0..NUMBERS {
        let number = random::number() as u16;
        let name = lease_of(number);
        let hold = Change::Hold { name: &name, value: &[], age: LEASE };
        match values.all(&[hold]).await?.first() {
            Some(Changed::Done) => return Ok(number),
            Some(Changed::Refused(reason)) => return Err(Failure::Lost(reason.clone())),
            _ => {}
        }
    }
    Err(Failure::Lost("no free number of a node was found".to_owned()))
}

fn lease_of(number: u16) -> String {
    format!("node:{number}")
}

/// Keeps the number, for ever.
async fn renew_number<E: Engine>(node: Rc<Node<E>>) {
    loop {
        sleep(RENEWAL).await;
        let name = lease_of(node.settings.number.get());
        let hold = Wanted::Hold { name, value: Vec::new(), age: LEASE };
        let is_taken = matches!(node.ask(hold, RENEWAL).await, Ok(Changed::Owned(..)));
        if is_taken && let Ok(number) = in_time(try_number(&node.engine)).await {
            node.settings.number.set(number);
            node.has_number();
            // The others call it by the new one before its clients are back.
            node.heartbeat.notify_one();
            node.status.number_is_taken();
            node.ears_stuck.notify_one();
        }
    }
}

/// Keeps what nodes show each other, for ever.
async fn keep_proof<E: Engine>(node: Rc<Node<E>>) {
    loop {
        sleep(RENEWAL).await;
        node.settings.proof.keep(async |change| node.ask(Wanted::of(&change), RENEWAL).await.ok()).await;
    }
}

async fn release_number<E: Engine>(node: &Node<E>) {
    let name = lease_of(node.settings.number.get());
    if let Ok(mut values) = node.engine.values().await {
        // It expires by itself otherwise.
        drop(values.all(&[Change::Delete { name: &name }]).await);
    }
}
