//! The load generator: real clients and real pushes, and a report on how a server handles them.
//!
//! Threads of their own hold the connections. The thread that calls [`run`] opens them step by step, pushes,
//! and reads the use of the server's process.
//!
//! | file | what |
//! |---|---|
//! | `plan` | what a run does |
//! | `protocol/` | what is said to the server, for turted and for others |
//! | `fleet`, `client`, `channel`, `polling` | the connections of one thread; one client; what its bytes go through; how its session begins that a WebSocket takes over |
//! | `transport` | how clients speak: one file per transport |
//! | `pusher` | the backend of a run |
//! | `comeback`, `memory`, `marks` | the return of all clients; what a client remembers of its connection; which dispatches it has received |
//! | `board`, `stamp` | what the threads share; the number of a dispatch in its payload |
//! | `process`, `looks`, `histogram` | what the server uses, now and during a run; how long deliveries took |
//! | `report` | what a run found |

pub mod plan;
pub mod protocol;
mod fleet;
mod client;
mod channel;
mod polling;
pub mod transport;
mod pusher;
mod comeback;
mod memory;
mod marks;
mod board;
mod stamp;
mod process;
mod looks;
mod histogram;
pub mod report;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use board::Board;
pub use channel::Tls;
use fleet::{Orders, Tally, Wanted};
use looks::Looks;
use plan::{Load, OUTSTANDING_MAX, Plan};
pub use process::Cpu;
use process::Usage;
pub use pusher::PushError;
use pusher::{Pushed, Pusher};
use report::{Churn, Connects, Idle, LoadReport, Report, each, rate};
pub use stamp::STAMP_BYTES;

/// File descriptors for everything except connections.
const DESCRIPTORS_RESERVED: u64 = 64;
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(300);
/// How long a server may take to notice that one more client has gone. What it still holds after that counts
/// as kept.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(100);
/// If no further connection becomes ready, and none fails, for this much longer than one may take, the run fails.
const CONNECT_WAIT_MORE: Duration = Duration::from_secs(10);

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Connections are being opened: how many are, and how many should be.
    Connecting(usize, usize),
    /// Connections are left alone: the time that has passed, and all of it.
    LeftAlone(Duration, Duration),
    /// Dispatches are being pushed: the time that has passed, and the time of the whole run.
    Pushing(Duration, Duration),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The operating system refuses a thread or a runtime.
    #[error("cannot start the generator: {0}")]
    Start(#[source] io::Error),
    /// The connections need more file descriptors than there are.
    #[error(
        "{wanted} connections need more than {limit} file descriptors; raise the hard limit (ulimit -Hn)"
    )]
    Descriptors {
        /// Connections of the plan.
        wanted: usize,
        /// File descriptors that this program may have.
        limit: u64,
    },
    /// There is no such process, or this user may not read it.
    #[error("cannot read /proc/{0}: {1}")]
    Process(u32, #[source] io::Error),
    /// The server accepts no further connections.
    #[error("no connection became ready for {0:?}")]
    Stuck(Duration),
    /// A push failed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A thread panicked.
    #[error("a thread of the generator has ended")]
    Thread,
}

/// Runs a plan. `progress` is called from time to time.
///
/// # Errors
/// The generator cannot run here, or the server cannot be pushed to. Lost deliveries are no error; the report
/// has them.
pub fn run(plan: Plan, progress: impl FnMut(Progress)) -> Result<Report, BenchError> {
    raise_descriptors(plan.clients.reading + plan.clients.stalled + plan.pushers)?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(BenchError::Start)?;
    let plan = Arc::new(plan);
    runtime.block_on(Run::start(plan, progress)?.work())
}

fn raise_descriptors(connections: usize) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let limit = current.unwrap_or(u64::MAX);
    if connections as u64 + DESCRIPTORS_RESERVED > limit {
        return Err(BenchError::Descriptors { wanted: connections, limit });
    }
    Ok(())
}

/// A run under way.
struct Run<P> {
    plan: Arc<Plan>,
    board: Arc<Board>,
    wanted: watch::Sender<Wanted>,
    loss: CancellationToken,
    stop: CancellationToken,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    progress: P,
}

impl<P> Drop for Run<P> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<P: FnMut(Progress)> Run<P> {
    fn start(plan: Arc<Plan>, progress: P) -> Result<Self, BenchError> {
        let outstanding = match plan.load {
            Load::Inflight(outstanding) => outstanding,
            Load::Rate(_) => OUTSTANDING_MAX,
        };
        let board = Arc::new(Board::new(plan.spread, outstanding));
        let (wanted, receiver) = watch::channel(Wanted::default());
        let (loss, stop) = (CancellationToken::new(), CancellationToken::new());
        let orders = Orders {
            plan: Arc::clone(&plan),
            board: Arc::clone(&board),
            wanted: receiver,
            loss: loss.clone(),
            stop: stop.clone(),
        };
        let start = |index| {
            let orders = orders.clone();
            thread::Builder::new().name(format!("fleet-{index}")).spawn(move || fleet::run(orders, index))
        };
        let threads = (0..plan.clients.threads).map(start).collect::<io::Result<_>>();
        let threads = threads.map_err(BenchError::Start)?;
        Ok(Self { plan, board, wanted, loss, stop, threads, progress })
    }

    /// Does all steps of a run, one after the other.
    async fn work(mut self) -> Result<Report, BenchError> {
        let churn = self.churn().await?;
        let before = self.look()?;
        let connects = self.connect().await?;
        let connected = self.look()?;
        let idle = self.leave_alone().await?;
        let comeback = self.comeback().await?;
        let (_, stalled_failed) = self.want(|wanted, clients| wanted.stalled = clients.stalled).await?;
        let began = self.look()?;
        let start = Instant::now();
        let pushed = self.push().await?;
        let time = start.elapsed();
        let loaded = self.look()?;
        let lost = self.board.lost();
        let ended = self.board.counts.ended.load(Ordering::Acquire);
        let tally = self.end()?;
        let after = self.look_when_closed(before).await?;
        let looks = Looks { before, tenth: connects.tenth, connected, began, loaded, after };
        let load =
            LoadReport { lost, ended, stalled_failed, ..LoadReport::of(&self.plan, time, &tally, pushed) };
        let server = looks.report(&self.plan, time, &load);
        let comeback =
            comeback.map(|one| one.report(self.plan.clients.reading, self.plan.missed, tally.told));
        Ok(Report {
            connects: connects.report,
            churn,
            idle,
            comeback,
            load,
            server,
            complaint: tally.complaint,
        })
    }

    /// Opens and closes connections.
    async fn churn(&mut self) -> Result<Option<Churn>, BenchError> {
        let cycles = self.plan.clients.churned;
        if cycles == 0 {
            return Ok(None);
        }
        let before = self.look()?;
        let (time, failed) = self.want(|wanted, clients| wanted.churned = clients.churned).await?;
        let after = self.look_when_closed(before).await?;
        let both = before.zip(after);
        Ok(Some(Churn {
            cycles,
            failed,
            per_second: rate(cycles as u64, time),
            cpu_us: both.and_then(|(b, a)| each(a.cpu_since(&b).total_us(), cycles as u64)),
            rss_growth_bytes: both.map(|(b, a)| a.rss_bytes.cast_signed() - b.rss_bytes.cast_signed()),
            descriptors_growth: both.map(|(b, a)| a.descriptors as i64 - b.descriptors as i64),
        }))
    }

    /// Opens the connections that read: first a tenth, then, after the server's memory was read, the rest.
    async fn connect(&mut self) -> Result<Connected, BenchError> {
        let reading = self.plan.clients.reading;
        let before = self.look()?;
        let (first, failed) = self.want(|wanted, clients| wanted.reading = clients.reading / 10).await?;
        sleep(SETTLE).await;
        let tenth = self.look()?;
        let (rest, more_failed) = self.want(|wanted, clients| wanted.reading = clients.reading).await?;
        let (time, failed) = (first + rest, failed + more_failed);
        let cpu = before.zip(self.look()?).map(|(before, after)| after.cpu_since(&before));
        sleep(SETTLE).await;
        let report = Connects {
            opened: reading - failed,
            failed,
            per_second: rate(reading as u64, time),
            cpu_us: cpu.and_then(|cpu| each(cpu.total_us(), reading as u64)),
            cpu_user_us: cpu.and_then(|cpu| each(cpu.user_us, reading as u64)),
        };
        Ok(Connected { tenth, report })
    }

    /// Leaves the connections alone for as long as the plan says. They answer heartbeats meanwhile.
    async fn leave_alone(&mut self) -> Result<Option<Idle>, BenchError> {
        let time = self.plan.idle;
        if time.is_zero() {
            return Ok(None);
        }
        let (start, before) = (Instant::now(), self.look()?);
        while start.elapsed() < time {
            (self.progress)(Progress::LeftAlone(start.elapsed(), time));
            sleep(TICK.min(time - start.elapsed().min(time))).await;
        }
        let cpu = before.zip(self.look()?).map(|(before, after)| after.cpu_since(&before));
        Ok(Some(Idle { seconds: start.elapsed().as_secs_f64(), cpu_us: cpu.map(Cpu::total_us) }))
    }

    /// Asks for more connections and waits until they are ready or have failed. Returns how long that took,
    /// and how many failed.
    async fn want(
        &mut self,
        change: fn(&mut Wanted, &plan::Clients),
    ) -> Result<(Duration, usize), BenchError> {
        let start = Instant::now();
        let failed_before = self.board.counts.failed.load(Ordering::Acquire);
        self.wanted.send_modify(|wanted| change(wanted, &self.plan.clients));
        let Wanted { churned, reading, returning, stalled } = *self.wanted.borrow();
        let goal = churned + reading + returning + stalled;
        loop {
            let counts = &self.board.counts;
            let failed = counts.failed.load(Ordering::Acquire);
            let done = counts.ready.load(Ordering::Acquire) + failed;
            if done >= goal {
                return Ok((start.elapsed(), failed - failed_before));
            }
            (self.progress)(Progress::Connecting(done, goal));
            let changed = self.board.changed.notified();
            // A client may first wait to be connected, and then to be ready.
            let wait = 2 * self.plan.patience + CONNECT_WAIT_MORE;
            timeout(wait, changed).await.map_err(|_| BenchError::Stuck(wait))?;
            // Not woken for each connection: the other threads need the core.
            sleep(TICK / 10).await;
        }
    }

    /// Pushes for as long as the plan says, and waits for the last deliveries.
    async fn push(&mut self) -> Result<Pushed, BenchError> {
        let end = Instant::now() + self.plan.duration;
        let tasks = TaskTracker::new();
        let mut pushers = Vec::new();
        for number in 0..self.plan.pushers {
            let number = u32::try_from(number).map_err(|_| BenchError::Thread)?;
            let pusher =
                Pusher::open(Arc::clone(&self.plan), Arc::clone(&self.board), number, &tasks).await?;
            pushers.push(tasks.spawn_local(pusher.run(end)));
        }
        let mut all = Pushed::default();
        for pusher in pushers {
            let pushed = self.attend(pusher, end).await.map_err(|_| BenchError::Thread)??;
            all.accepted += pushed.accepted;
            all.refused += pushed.refused;
            all.gave_up |= pushed.gave_up;
        }
        let deadline = Instant::now() + self.plan.patience;
        while !self.board.is_settled() && Instant::now() < deadline && !all.gave_up {
            sleep(TICK / 50).await;
        }
        Ok(all)
    }

    /// Waits for a task, and reports how the time passes.
    async fn attend<T>(
        &mut self,
        mut task: tokio::task::JoinHandle<T>,
        end: Instant,
    ) -> Result<T, tokio::task::JoinError> {
        loop {
            match timeout(TICK, &mut task).await {
                Ok(result) => return result,
                Err(_) => {
                    let left = end.saturating_duration_since(Instant::now());
                    (self.progress)(Progress::Pushing(self.plan.duration - left, self.plan.duration));
                }
            }
        }
    }

    /// Reads what the server's process uses, if the process is known.
    fn look(&self) -> Result<Option<Usage>, BenchError> {
        let look = |process| Usage::of(process).map_err(|error| BenchError::Process(process, error));
        self.plan.process.map(look).transpose()
    }

    /// Reads what the server's process uses, after the server has noticed that its clients are gone.
    async fn look_when_closed(&self, before: Option<Usage>) -> Result<Option<Usage>, BenchError> {
        let mut fewest = usize::MAX;
        let mut deadline = Instant::now() + CLOSE_WAIT_MAX;
        loop {
            sleep(SETTLE).await;
            let now = self.look()?;
            let Some((usage, before)) = now.zip(before) else { return Ok(now) };
            if usage.descriptors < fewest {
                fewest = usage.descriptors;
                deadline = Instant::now() + CLOSE_WAIT_MAX;
            }
            if fewest <= before.descriptors || Instant::now() >= deadline {
                return Ok(now);
            }
        }
    }

    /// Closes all connections and adds up what they received.
    fn end(&mut self) -> Result<Tally, BenchError> {
        self.stop.cancel();
        let mut all = Tally::default();
        for thread in self.threads.drain(..) {
            let tally = thread.join().map_err(|_| BenchError::Thread)?.map_err(BenchError::Start)?;
            all.merge(tally);
        }
        Ok(all)
    }
}

/// How the connections were opened.
struct Connected {
    /// What the server used when a tenth was open.
    tenth: Option<Usage>,
    report: Connects,
}
