//! A dispatcher over inboxes of a test.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use turted_core::limits::{CLUSTER_ENTRY_BYTES_MAX, CLUSTER_TARGETS_MAX};

use super::*;
use crate::hub::dispatch::inbox::{InboxLimits, inbox};

impl Dispatcher {
    /// Takes an entry that is no dispatch, the first one of another epoch or the next one, and hands it over. Returns
    /// whether there was room.
    pub(crate) fn skip(&self, begun: Option<u64>) -> bool {
        let mut order = self.order();
        if !order.has_room(Size { dispatches: 1, bytes: 1_000 }) {
            return false;
        }
        let mut at = order.log.next();
        if let Some(epoch) = begun {
            self.inner.epochs.write().unwrap().begin(Epoch { epoch, after: order.log.last() });
            at = Cursor { epoch, sequence: at.sequence + (1 << 20) };
        }
        order.skip_at(at);
        true
    }
}

#[test]
fn a_push_with_more_bytes_than_one_inbox_takes_leaves_no_trace_in_any() {
    let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
    let small = InboxLimits { dispatches: 10, bytes: 1_000 };
    let (inboxes, mut receivers): (Vec<_>, Vec<_>) =
        [InboxLimits { bytes: 1 << 20, ..small }, small].into_iter().map(inbox).unzip();
    let dispatcher = Dispatcher::new(7, log, inboxes, &Backlogs::new(usize::MAX));
    let push = || dispatcher.broadcast("e", &"x".repeat(600)).and_then(Receipt::wait);
    assert_eq!(push().unwrap().first().sequence, 1);
    assert_eq!(push(), Err(DispatchRefusal::Overload));
    assert_eq!((dispatcher.last(), dispatcher.accepted(&Source::Embed)), (1, 1));
    receivers.iter_mut().for_each(|inbox| assert_eq!(inbox.try_recv().unwrap().accepted.sequence(), 1));
    assert!(receivers.iter_mut().all(|inbox| inbox.try_recv().is_err()), "no worker was handed it");
    assert_eq!(push().unwrap().first().sequence, 2, "there is room again, and no number was skipped");
}

#[test]
fn what_no_node_would_read_is_refused_in_a_cluster_and_taken_elsewhere() {
    let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
    let (sender, _receiver) = inbox(InboxLimits { dispatches: 10, bytes: 1 << 30 });
    let dispatcher = Dispatcher::new(7, log, vec![sender], &Backlogs::new(usize::MAX));
    // A control character has six bytes in JSON: of a body with 2 MiB.
    let text = "\u{1}".repeat(CLUSTER_ENTRY_BYTES_MAX / 4);
    let users =
        |count: usize| (0..count).map(|user| Name::new(&user.to_string()).unwrap()).collect::<Vec<_>>();
    let push = |targets: Targets, payload: &str| {
        let payload = serde_json::value::to_raw_value(payload).unwrap();
        let dispatch = Dispatch { event: Name::new("e").unwrap(), payload, targets };
        dispatcher.submit(&mut vec![dispatch], Reach::Uncounted, None).map(drop)
    };
    let many = || Targets { users: users(CLUSTER_TARGETS_MAX + 1), ..Targets::default() };
    assert_eq!((push(Targets::default(), &text), push(many(), "")), (Ok(()), Ok(())));
    let feed = dispatcher.feed();
    feed.refuse(false);
    assert!(matches!(push(Targets::default(), &text), Err(DispatchRefusal::EntryTooLarge { .. })));
    assert!(matches!(push(many(), ""), Err(DispatchRefusal::TargetsTooMany { .. })));
    let twice = Targets { users: [users(1), users(1)].concat(), ..Targets::default() };
    assert_eq!(push(twice, ""), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_writer_of_a_cluster_gathers_pushes_and_waits_for_them_no_longer_than_it_may() {
    let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
    let (inbox, _deliveries) = inbox(InboxLimits { dispatches: 10, bytes: 1 << 20 });
    let dispatcher = Dispatcher::new(7, log, vec![inbox], &Backlogs::new(usize::MAX));
    let feed = dispatcher.feed();
    feed.refuse(false);
    let (short, long) = (Duration::from_millis(1), Duration::from_secs(60));
    assert!(!feed.gather(1, 9, short).await, "none comes");
    let push = || drop(dispatcher.broadcast("e", &1).unwrap());
    let mut gathered = pin!(feed.gather(2, 9, long));
    assert!(timeout(short, &mut gathered).await.is_err());
    push();
    assert!(timeout(short, &mut gathered).await.is_err(), "it is not woken for one");
    push();
    assert!(timeout(short, &mut gathered).await.unwrap());
    assert!(feed.gather(5, 2, long).await, "as many wait as it may gather");
    assert_eq!(feed.take().await.unwrap().len(), 2);
}
