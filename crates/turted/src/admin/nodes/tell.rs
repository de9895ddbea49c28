//! What happens on this node is told to other nodes that watch it: each has a lease, which it renews.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use turted_core::cluster::head::Author;
use turted_core::cluster::message::Told;
use turted_core::cluster::watch::{WatchTold, WatchedRecords};
use turted_core::limits::WATCHED_PORTION_BYTES;
use turted_core::name::Name;

use crate::admin::query;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::watches::WatchWanted;
use crate::live::{Filter, Live, TooMany, Watching};

/// Time between two messages with records.
const PACE: Duration = Duration::from_millis(100);
/// The longest lease, in seconds.
const LEASE_SECONDS_MAX: u16 = 60;
/// Renewals that wait: each is looked at at once.
const RENEWALS_MAX: usize = 4;

/// The number of a watch, and who watches: a process that has another number from now on is told there.
type Watcher = (u64, Author);

/// Tells other nodes what they want to watch on this one, which is called `name`, until it has left its cluster.
pub(super) async fn run(
    (live, cluster): (Live, Cluster),
    name: Name,
    mut wanted: mpsc::Receiver<WatchWanted>,
) {
    let mut watchers = Watchers { live, cluster, name, leases: HashMap::new(), telling: JoinSet::new() };
    loop {
        tokio::select! {
            one = wanted.recv() => match one {
                Some(wanted) => watchers.want(&wanted),
                None => return,
            },
            Some(ended) = watchers.telling.join_next() => watchers.ended(ended.ok()),
        }
    }
}

/// The watchers of other nodes, and what tells each of them.
struct Watchers {
    live: Live,
    cluster: Cluster,
    name: Name,
    /// Each has a watcher here, so there are no more than these.
    leases: HashMap<Watcher, mpsc::Sender<u16>>,
    telling: JoinSet<Watcher>,
}

impl Watchers {
    /// Another node wants to watch, or does not want to any more.
    fn want(&mut self, wanted: &WatchWanted) {
        let watcher = (wanted.watch, wanted.from);
        let is_known = self.leases.get(&watcher).is_some_and(|lease| renew(lease, wanted.seconds));
        if is_known || wanted.seconds == 0 {
            return;
        }
        let send = self.sender(wanted);
        match begin(&self.live, &wanted.filter) {
            Some(Ok(watching)) => {
                let ((lease, renewals), seconds) = (mpsc::channel(RENEWALS_MAX), wanted.seconds);
                self.leases.insert(watcher, lease);
                self.telling.spawn_local(async move {
                    tell(&watching, (seconds, renewals), |before, records| send(before, records, false))
                        .await;
                    watcher
                });
            }
            Some(Err(TooMany)) => send(0, Vec::new(), true),
            // It is of a stranger, or of another version: to those that one is silent.
            None => {}
        }
    }

    /// What tells a watcher its records: how many were told before, these, and whether as many watch as may.
    fn sender(&self, wanted: &WatchWanted) -> impl Fn(u64, Vec<String>, bool) + use<> {
        let (cluster, name, watch, to) =
            (self.cluster.clone(), self.name.clone(), wanted.watch, wanted.from.node);
        move |before, records, is_full| {
            let told = WatchedRecords { watch, name: name.clone(), is_full, before, records };
            cluster.tell(Some(to), Told::Watch(WatchTold::Records(told)));
        }
    }

    /// Something has ended. A watcher that came again meanwhile has another lease.
    fn ended(&mut self, watcher: Option<Watcher>) {
        let Some(watcher) = watcher else { return };
        if self.leases.get(&watcher).is_some_and(mpsc::Sender::is_closed) {
            self.leases.remove(&watcher);
        }
    }
}

/// Renews a lease, unless it has ended. A renewal that has no room comes again.
fn renew(lease: &mpsc::Sender<u16>, seconds: u16) -> bool {
    !matches!(lease.try_send(seconds), Err(mpsc::error::TrySendError::Closed(_)))
}

/// Watches what passes a filter; `None` if it is none.
fn begin(live: &Live, filter: &str) -> Option<Result<Watching, TooMany>> {
    let parameters = query::parameters(Some(filter)).ok()?;
    let filter = Filter::read(parameters.iter().map(|(key, value)| (*key, &**value))).ok()?;
    filter.is_narrow().then(|| live.watch(filter, None))
}

/// Sends records, each with the number of those before it, until the lease is over or 0 renews it. Each renewal is
/// answered, so that whoever watches knows that the node is there.
async fn tell(
    watching: &Watching,
    (seconds, mut renewals): (u16, mpsc::Receiver<u16>),
    send: impl Fn(u64, Vec<String>),
) {
    let (mut until, mut next, mut before) = (end_of(seconds), Instant::now(), 0);
    send(before, Vec::new());
    loop {
        let taken = async {
            sleep_until(next).await;
            watching.take(WATCHED_PORTION_BYTES).await
        };
        tokio::select! {
            biased;
            renewal = renewals.recv() => match renewal {
                Some(seconds @ 1..) => {
                    until = end_of(seconds);
                    send(before, Vec::new());
                }
                Some(0) | None => return,
            },
            () = sleep_until(until) => return,
            taken = taken => {
                next = Instant::now() + PACE;
                let records: Vec<_> = taken.iter().map(|record: &Arc<str>| record.to_string()).collect();
                let count = records.len() as u64;
                send(before, records);
                before += count;
            }
        }
    }
}

fn end_of(seconds: u16) -> Instant {
    Instant::now() + Duration::from_secs(seconds.min(LEASE_SECONDS_MAX).into())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::live::{Kind, Record};

    type Sent = RefCell<Vec<(u64, usize)>>;

    fn happens(live: &Live, count: usize) {
        for _ in 0..count {
            live.tell(|| Record { address: Some([192, 0, 2, 7].into()), ..Record::new(Kind::Joined) });
        }
    }

    fn watch(live: &Live) -> Watching {
        begin(live, "address=192.0.2.7").unwrap().unwrap()
    }

    async fn at(began: Instant, millis: u64) {
        sleep_until(began + Duration::from_millis(millis)).await;
    }

    /// Runs what happens beside what tells it, whose end it waits for. Returns what was sent, and how long it took.
    async fn run_beside(
        live: &Live,
        seconds: u16,
        happening: impl AsyncFnOnce(Instant, mpsc::Sender<u16>),
    ) -> (Vec<(u64, usize)>, Duration) {
        let (began, watching, sent) = (Instant::now(), watch(live), Sent::default());
        let (lease, renewals) = mpsc::channel(RENEWALS_MAX);
        let send = |before, records: Vec<String>| sent.borrow_mut().push((before, records.len()));
        let mut ended = Duration::ZERO;
        let telling = async {
            tell(&watching, (seconds, renewals), send).await;
            ended = began.elapsed();
        };
        tokio::join!(telling, happening(began, lease));
        (sent.into_inner(), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_told_until_the_lease_is_over() {
        let live = Live::default();
        let (sent, ended) = run_beside(&live, 2, async |began, _lease| {
            happens(&live, 2);
            at(began, 50).await;
            happens(&live, 3);
            at(began, 1_000).await;
            happens(&live, 1);
            at(began, 2_500).await;
            happens(&live, 1);
        })
        .await;
        assert_eq!((sent, ended), (vec![(0, 0), (0, 2), (2, 3), (5, 1)], Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_goes_on_and_each_renewal_is_answered() {
        let live = Live::default();
        let (sent, ended) = run_beside(&live, 2, async |began, lease| {
            for millis in [1_500, 3_000] {
                at(began, millis).await;
                assert!(renew(&lease, 2));
            }
            at(began, 4_000).await;
            happens(&live, 1);
            at(began, 5_500).await;
            assert!(!renew(&lease, 2), "it is over");
        })
        .await;
        assert_eq!((sent, ended), (vec![(0, 0), (0, 0), (0, 0), (0, 1)], Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_is_gone_ends_its_lease() {
        let live = Live::default();
        let (sent, ended) = run_beside(&live, 2, async |began, lease| {
            at(began, 500).await;
            assert!(renew(&lease, 0));
        })
        .await;
        assert_eq!((sent, ended), (vec![(0, 0)], Duration::from_millis(500)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_lease_is_longer_than_a_minute() {
        let live = Live::default();
        let (_, ended) = run_beside(&live, u16::MAX, async |_, lease| {
            sleep_until(Instant::now() + Duration::from_secs(600)).await;
            drop(lease);
        })
        .await;
        assert_eq!(ended, Duration::from_secs(60));
    }

    #[test]
    fn only_a_filter_with_a_user_a_channel_or_an_address_is_watched() {
        let live = Live::default();
        for filter in ["", "type=push", "event=E", "user=", "nodes=all&user=adam", "user=%FF"] {
            assert!(begin(&live, filter).is_none(), "{filter}");
        }
        for filter in ["user=adam", "channel=a%26b&payload=1", "address=192.0.2.7&type=push"] {
            assert!(begin(&live, filter).is_some_and(|begun| begun.is_ok()), "{filter}");
        }
        let _watching: Vec<_> = (0..8).map(|_| watch(&live)).collect();
        assert!(begin(&live, "user=adam").is_some_and(|begun| begun.is_err()), "a ninth one");
    }
}
