//! The life of one source: it connects, fetches, has accepted, acknowledges, and stops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::lease::{Lease, REST};
use super::{ANSWER_WAIT, CLOSE_WAIT, Connector, Failure, Feed, STOP_WAIT};
use crate::hub::cluster::Cluster;
use crate::hub::dispatch::dispatcher::DispatchRefusal;
use crate::push::intake::{Acceptance, Gathered, Intake, Message, Outcome, Portion, Status, Taking};

/// Time between two looks whether there is room again: a worker empties half an inbox in a few of these.
const ROOM_WAIT: Duration = Duration::from_millis(2);

/// Runs a source until `stop`. One that all nodes of a cluster would hear is read while this node has its lease.
pub(super) async fn run<C: Connector>(
    mut connector: C,
    mut intake: Intake,
    cluster: Option<Cluster>,
    stop: CancellationToken,
) {
    let Some(cluster) = cluster.filter(|_| C::IS_HEARD_BY_ALL) else {
        return read(&mut connector, &mut intake, &stop).await;
    };
    let (status, mut has_read) = (Arc::clone(intake.status()), false);
    let mut lease = Lease::new(cluster, &status);
    intake.hold(lease.name());
    loop {
        let Some(former) = stop.run_until_cancelled(lease.take()).await else { return };
        if let Some(node) = former {
            warn!(
                source = status.name(),
                node, "this node reads the source from now on: there is a gap behind what another one read"
            );
            // Whoever was connected before counts the gap when it is again.
            if !has_read {
                status.count_gap(0);
            }
        }
        tokio::select! {
            () = read(&mut connector, &mut intake, &stop) => return lease.release().await,
            () = lease.keep() => {}
        }
        has_read |= status.is_up();
        status.set_up(false);
        warn!(source = status.name(), "the lease of the source is lost: another node may read it");
        if stop.run_until_cancelled(sleep(REST)).await.is_none() {
            return;
        }
    }
}

/// Connects, and fetches, again and again until `stop`.
async fn read<C: Connector>(connector: &mut C, intake: &mut Intake, stop: &CancellationToken) {
    let status = Arc::clone(intake.status());
    let (mut backoff, mut is_told) = (Backoff::new(), false);
    loop {
        let ended = stop.run_until_cancelled(connect(connector)).await;
        let lost = match ended {
            None => return,
            Some(Err(failure)) => failure,
            Some(Ok(mut feed)) => {
                backoff.connected(Instant::now().into_std());
                status.set_up(true);
                if std::mem::take(&mut is_told) {
                    // A warning like the one that it answers, because others may not be logged.
                    warn!(source = status.name(), "the source is back");
                }
                intake.reconnected();
                let ended = serve(&mut feed, intake, stop).await;
                status.set_up(false);
                match ended {
                    Ok(()) => return close(feed, &status).await,
                    Err(failure) => failure,
                }
            }
        };
        status.set_failure(lost.to_string());
        if std::mem::replace(&mut is_told, true) {
            debug!(source = status.name(), error = %lost, "the source is still down");
        } else {
            warn!(source = status.name(), error = %lost, "the source is down, and tried again until it is back");
        }
        let wait = backoff.next(Instant::now().into_std(), random());
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return;
        }
    }
}

async fn connect<C: Connector>(connector: &mut C) -> Result<C::Feed, Failure> {
    in_time(connector.connect()).await
}

pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || Failure(format!("no answer within {} s", ANSWER_WAIT.as_secs()));
    timeout(ANSWER_WAIT, answer).await.unwrap_or_else(|_| Err(late()))
}

/// Takes messages until `stop`, or until the connection is lost.
async fn serve<F: Feed>(feed: &mut F, intake: &mut Intake, stop: &CancellationToken) -> Result<(), Failure> {
    loop {
        let Some(messages) = stop.run_until_cancelled(feed.next()).await else { return Ok(()) };
        let messages = messages?;
        tokio::select! {
            taken = take_and_tell(feed, intake, &messages) => match taken? {
                Taken::All => {}
                Taken::Stopped => return Ok(()),
            },
            // What was not accepted stays with its source. What is accepted and not settled by now comes again.
            () = late(stop) => {
                warn!(source = intake.status().name(), "what was read and not accepted is left to come again");
                return Ok(());
            }
        }
    }
}

async fn take_and_tell<F: Feed>(
    feed: &mut F,
    intake: &mut Intake,
    messages: &[Message<F::Tag>],
) -> Result<Taken, Failure> {
    let taken = take(feed, intake, messages).await?;
    in_time(feed.flush()).await?;
    Ok(taken)
}

/// Done when a stop has lasted too long.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_WAIT).await;
}

/// Whether all messages of a list were settled.
enum Taken {
    All,
    Stopped,
}

/// Has messages accepted, in their order.
async fn take<F: Feed>(
    feed: &mut F,
    intake: &mut Intake,
    messages: &[Message<F::Tag>],
) -> Result<Taken, Failure> {
    let mut list = List { feed, intake, underway: VecDeque::new(), since: None };
    let mut rest = messages;
    while !rest.is_empty() {
        let Gathered { portion, behind } = list.intake.gather(rest);
        let (ready, others) = rest.split_at(portion.len());
        if !ready.is_empty()
            && let Taken::Stopped = list.submit(portion, rest).await?
        {
            return Ok(Taken::Stopped);
        }
        rest = others;
        if let Some(outcome) = behind {
            let (first, others) = rest.split_at(1);
            list.underway.push_back((first, Progress::Settled(outcome)));
            rest = others;
        }
        list.settle(Until::Waiting).await?;
    }
    list.settle(Until::All).await
}

/// Messages that came together, on their way.
struct List<'a, F: Feed> {
    feed: &'a mut F,
    intake: &'a mut Intake,
    /// What is not settled yet, in its order: while one portion is written to the disk, those behind it are submitted.
    underway: VecDeque<(&'a [Message<F::Tag>], Progress)>,
    /// One for all of them: many short waits are a long one.
    since: Option<Waiting>,
}

/// What is known of messages.
enum Progress {
    Settled(Outcome),
    Taken(Taking),
}

/// How many messages are settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// All before the first one that has to be waited for.
    Waiting,
    All,
}

impl<'a, F: Feed> List<'a, F> {
    /// Submits the portion that the waiting messages begin with, as soon as there is room for it.
    async fn submit(
        &mut self,
        mut portion: Portion,
        waiting: &'a [Message<F::Tag>],
    ) -> Result<Taken, Failure> {
        let messages = &waiting[..portion.len()];
        loop {
            let progress = match self.intake.accept(&mut portion) {
                Acceptance::Settled(outcome) => Progress::Settled(outcome),
                Acceptance::Taken(taking) => Progress::Taken(taking),
                Acceptance::Stopped => {
                    self.settle(Until::All).await?;
                    return Ok(Taken::Stopped);
                }
                Acceptance::Full => match self.wait_for_room(waiting).await? {
                    Taken::All => continue,
                    Taken::Stopped => return Ok(Taken::Stopped),
                },
            };
            self.underway.push_back((messages, progress));
            return Ok(Taken::All);
        }
    }

    /// Settles what is under way, and waits a moment.
    async fn wait_for_room(&mut self, waiting: &[Message<F::Tag>]) -> Result<Taken, Failure> {
        let settled = self.settle(Until::All).await?;
        if let Taken::All = settled
            && self.since.get_or_insert_with(Waiting::new).pause(self.intake.status(), F::RENEWAL).await
        {
            in_time(self.feed.renew(waiting)).await?;
        }
        Ok(settled)
    }

    /// Tells the feed what became of messages.
    async fn settle(&mut self, until: Until) -> Result<Taken, Failure> {
        while let Some((messages, progress)) = self.underway.pop_front() {
            let outcome = match progress {
                Progress::Taken(taking) if until == Until::Waiting && !taking.is_settled() => {
                    self.underway.push_front((messages, Progress::Taken(taking)));
                    break;
                }
                Progress::Taken(taking) => match self.intake.finish(taking).await {
                    Ok(outcome) => outcome,
                    Err(refusal) => return self.give_up(refusal).await,
                },
                Progress::Settled(outcome) => outcome,
            };
            for message in messages {
                self.intake.tell(&outcome, &message.labels);
                self.feed.settle(message, &outcome);
            }
        }
        Ok(Taken::All)
    }

    /// After a refusal all that is under way comes again, so the intake has to learn what of it was accepted.
    async fn give_up(&mut self, refusal: DispatchRefusal) -> Result<Taken, Failure> {
        for (_, progress) in self.underway.drain(..) {
            if let Progress::Taken(taking) = progress {
                // Operators see the first refusal.
                _ = self.intake.finish(taking).await;
            }
        }
        match refusal {
            DispatchRefusal::Stopped => Ok(Taken::Stopped),
            refusal => Err(Failure::new(refusal)),
        }
    }
}

/// Messages wait until there is room for them.
struct Waiting {
    renewed: Instant,
}

impl Waiting {
    fn new() -> Self {
        Self { renewed: Instant::now() }
    }

    /// Waits a moment. Returns whether it is time to renew.
    async fn pause(&mut self, status: &Status, renewal: Duration) -> bool {
        let began = Instant::now();
        sleep(ROOM_WAIT).await;
        let now = Instant::now();
        status.add_waited(now - began);
        let is_due = now - self.renewed >= renewal;
        if is_due {
            self.renewed = now;
        }
        is_due
    }
}

async fn close<F: Feed>(feed: F, status: &Status) {
    let closed = timeout(CLOSE_WAIT, feed.close()).await;
    let failure = match closed {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(_) => Failure(format!("no answer within {} s", CLOSE_WAIT.as_secs())),
    };
    warn!(source = status.name(), error = %failure, "the source was not told what was accepted, and delivers it again");
}

fn random() -> u32 {
    // Without random numbers all servers wait equally long.
    getrandom::u32().unwrap_or(u32::MAX)
}
