//! What waits, who takes it, and for how long nobody has come for it.

use std::time::Duration;

use tokio::sync::oneshot::Receiver as Taking;
use tokio::time::{advance, sleep};

use super::*;
use crate::hub::delivery::wire::Framing;

struct Setting {
    ledger: Rc<Ledger>,
    receiving: Receiving,
}

impl Setting {
    fn new() -> Self {
        let ledger = Ledger::of(usize::MAX, usize::MAX);
        Self { receiving: Receiving::new(Transport::XhrPolling, &ledger), ledger }
    }

    fn send(&mut self, message: &str) -> Sent {
        let frame = Framing::SockJsXhr.wrap(message, 0);
        self.receiving.send(Sending::Frames(&[frame]), &self.ledger)
    }

    /// A request that wants the next frame.
    fn take(&mut self) -> Taking<Result<Taken, SockJsRefusal>> {
        let (taker, taking) = oneshot::channel();
        assert_eq!(self.receiving.take(taker, Transport::XhrPolling, &self.ledger), Sent::Yes);
        taking
    }
}

/// The frame that a request took, if it has come.
fn frame(taking: &mut Taking<Result<Taken, SockJsRefusal>>) -> Option<String> {
    let taken = taking.try_recv().ok()?.unwrap();
    Some(taken.frame().into_owned())
}

#[test]
fn messages_wait_for_the_next_request_and_come_in_one_frame() {
    let mut setting = Setting::new();
    assert_eq!(setting.send("a"), Sent::Kept, "the first that waits");
    assert_eq!(setting.send("b"), Sent::Yes, "it waits behind another");
    assert_eq!(setting.receiving.state().waiting.frames, 2);
    assert_eq!(frame(&mut setting.take()).as_deref(), Some(r#"a["a","b"]"#));
    assert!(setting.receiving.state().is_flushed);
}

#[test]
fn a_request_that_waits_takes_one_frame_and_receives_no_more() {
    let mut setting = Setting::new();
    let mut taking = setting.take();
    assert!(setting.receiving.is_occupied());
    assert_eq!(frame(&mut taking), None);
    assert_eq!(setting.send("a"), Sent::Yes);
    assert_eq!(frame(&mut taking).as_deref(), Some(r#"a["a"]"#));
    assert!(!setting.receiving.is_occupied());
    assert_eq!(setting.send("b"), Sent::Kept);
}

#[test]
fn a_request_whose_client_is_gone_takes_nothing() {
    let mut setting = Setting::new();
    let taking = setting.take();
    assert!(!setting.receiving.is_abandoned());
    drop(taking);
    assert!(setting.receiving.is_abandoned());
    assert_eq!(setting.send("a"), Sent::Gone);
}

#[test]
fn what_does_not_fit_into_one_answer_waits_for_the_next_request() {
    let mut setting = Setting::new();
    setting.send(&"x".repeat(POLLING_ANSWER_BYTES_MAX));
    setting.send("small");
    assert_eq!(frame(&mut setting.take()).unwrap().len(), POLLING_ANSWER_BYTES_MAX + 5);
    assert_eq!(frame(&mut setting.take()).as_deref(), Some(r#"a["small"]"#));
}

#[test]
fn a_heartbeat_is_a_frame_that_ends_a_request() {
    let mut setting = Setting::new();
    assert_eq!(setting.receiving.beat(&setting.ledger), Sent::Yes, "nobody needs one");
    let mut taking = setting.take();
    assert_eq!(setting.receiving.beat(&setting.ledger), Sent::Yes);
    assert_eq!(frame(&mut taking).as_deref(), Some("h"));
    assert!(!setting.receiving.is_occupied());
}

#[test]
fn heartbeats_of_others_do_not_reach_its_clients() {
    let mut setting = Setting::new();
    let mut taking = setting.take();
    let ping = Frame::ping();
    assert_eq!(setting.receiving.send(Sending::Ahead(&ping), &setting.ledger), Sent::Yes);
    assert_eq!(frame(&mut taking), None);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_absent_from_when_it_began_or_was_last_answered() {
    let began = Instant::now();
    let mut setting = Setting::new();
    advance(Duration::from_secs(1)).await;
    assert_eq!(setting.receiving.presence(), Presence::Absent(began));
    let _taking = setting.take();
    let came = Instant::now();
    advance(Duration::from_secs(1)).await;
    assert_eq!(setting.receiving.presence(), Presence::Attached(came));
    assert_eq!(setting.receiving.state().absent_since, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_reads_its_answer_is_not_absent_for_long() {
    let mut setting = Setting::new();
    setting.send("a");
    let taken = setting.take().try_recv().unwrap().unwrap();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(setting.receiving.presence(), Presence::Absent(Instant::now()), "it cannot ask for more yet");
    drop(taken);
    let read = Instant::now();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(setting.receiving.presence(), Presence::Absent(read));
}

#[test]
fn the_end_is_told_to_the_request_that_waits() {
    let mut setting = Setting::new();
    let mut taking = setting.take();
    let left = setting.receiving.end(r#"c[3000,"Go away!"]"#);
    assert_eq!(frame(&mut taking).as_deref(), Some(r#"c[3000,"Go away!"]"#));
    assert!(left.is_empty());
}

#[test]
fn the_end_gives_what_nobody_has_taken() {
    let mut setting = Setting::new();
    setting.send("a");
    let mut left = setting.receiving.end(r#"c[3000,"Go away!"]"#);
    let messages: Vec<_> = left.take(usize::MAX).iter().map(|frame| frame.message().to_owned()).collect();
    assert_eq!(messages, ["a[\"a\"]\n"]);
}

#[test]
fn a_session_is_counted_by_what_the_last_request_came_by() {
    let mut setting = Setting::new();
    assert_eq!(setting.receiving.carrier(), Carrier::Polling);
    let (taker, _taking) = oneshot::channel();
    // Over HTTP/2 a response that streams takes frame by frame.
    setting.receiving.take(taker, Transport::XhrStreaming, &setting.ledger);
    assert_eq!(setting.receiving.carrier(), Carrier::Streaming);
}
