//! What comes into which inbox.

use std::sync::Mutex;
use std::time::Duration;

use turted_core::cursor::Cursor;
use turted_core::dispatch::Targets;
use turted_core::epochs::Epoch;
use turted_core::name::Name;

use super::*;
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

impl Order {
    /// Hands over an entry that is no dispatch.
    pub(in crate::hub::dispatch) fn skip_at(&mut self, cursor: Cursor) {
        let accepted = self.log.skip_at(cursor, Instant::now());
        self.put(&[Entry { accepted, reached: None, handled: None, is_own: true }]);
    }
}

fn dispatch() -> Dispatch {
    let payload = serde_json::value::to_raw_value(&1).unwrap();
    Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() }
}

fn numbers(inbox: &mut Deliveries) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(delivery) = inbox.try_recv() {
        numbers.push(delivery.accepted.sequence());
    }
    numbers
}

#[test]
fn what_is_no_dispatch_goes_to_workers_alone() {
    let limits = LogLimits { dispatches: 10, bytes: usize::MAX, age: Duration::from_secs(60) };
    let log = Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX));
    let room = InboxLimits { dispatches: 10, bytes: usize::MAX };
    let ((worker, mut of_worker), (handlers, mut of_handlers)) = (inbox(room), inbox(room));
    let mut order = Order::new(log, vec![worker], Live::default());
    let heard: Arc<Mutex<Vec<u64>>> = Arc::default();
    let hears = Arc::clone(&heard);
    order.handlers = Some(handlers);
    order.hearing = Some(Hearing(Box::new(move |accepted| hears.lock().unwrap().push(accepted.sequence()))));
    let now = Instant::now();
    let mut entry = |number: u64| {
        let cursor = Cursor { epoch: 7, sequence: number };
        let accepted = match number % 2 {
            0 => order.log.skip_at(cursor, now),
            _ => order.log.append_at(cursor, dispatch(), now),
        };
        Entry { accepted, reached: None, handled: None, is_own: true }
    };
    let together: Vec<_> = [1, 2, 4, 1_001, 1_002].map(&mut entry).into();
    let alone = entry(1_004);
    order.put(&together);
    order.put(&[alone]);
    order.skip_at(Cursor { epoch: 8, sequence: 5_000 });
    assert_eq!(numbers(&mut of_worker), [1, 2, 4, 1_001, 1_002, 1_004, 5_000]);
    assert_eq!(numbers(&mut of_handlers), [1, 1_001]);
    assert_eq!(*heard.lock().unwrap(), [1, 1_001]);
    order.close();
    assert!(of_handlers.blocking_recv().is_none(), "only a stop ends it");
}
