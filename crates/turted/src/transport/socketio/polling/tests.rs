//! What waits, who takes it, and when.

use tokio::sync::oneshot::Receiver;
use turted_core::wire::engineio::Version;

use super::super::payload::{Content, PollingReader};
use super::*;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::Waiting;

struct Setting {
    ledger: Rc<Ledger>,
    polling: Polling,
}

impl Setting {
    fn new() -> Self {
        Self::with(Ledger::of(usize::MAX, usize::MAX))
    }

    fn with(ledger: Rc<Ledger>) -> Self {
        let format =
            PollingFormat { version: Version::V4, reader: PollingReader::Text, content: Content::Json };
        Self { polling: Polling::new(format, &ledger), ledger }
    }

    fn send(&mut self, packet: &str) -> Sent {
        self.polling.send(Sending::Frames(&[Frame::text(packet, 0)]), &self.ledger)
    }

    fn send_ahead(&mut self, packet: &str) -> Sent {
        self.polling.send(Sending::Ahead(&Frame::text(packet, 0)), &self.ledger)
    }

    /// Parks a request, which must be taken.
    fn park(&mut self) -> Receiver<PollingAnswer> {
        let (request, answer) = oneshot::channel();
        assert_eq!(self.polling.park(request).unwrap(), Sent::Yes);
        answer
    }

    fn waiting(&self) -> usize {
        self.polling.state().waiting.frames
    }
}

/// The answer to a request, if it has come.
fn answer(receiver: &mut Receiver<PollingAnswer>) -> Option<String> {
    let body = receiver.try_recv().ok()?.unwrap();
    Some(String::from_utf8(body.parts.concat()).unwrap())
}

#[test]
fn frames_wait_for_the_next_request_and_are_its_answer() {
    let mut setting = Setting::new();
    assert_eq!(setting.send("4a"), Sent::Kept, "the first that waits");
    assert_eq!(setting.send("4b"), Sent::Yes, "it waits behind another");
    assert_eq!(setting.waiting(), 2);
    assert_eq!(answer(&mut setting.park()).as_deref(), Some("4a\u{1e}4b"));
    assert_eq!(setting.polling.state().waiting, Waiting::default());
}

#[test]
fn a_request_that_waits_is_answered_by_the_next_frame_alone() {
    let mut setting = Setting::new();
    let mut waiting = setting.park();
    assert_eq!(answer(&mut waiting), None);
    assert_eq!(setting.send("4a"), Sent::Yes);
    assert_eq!(answer(&mut waiting).as_deref(), Some("4a"));
    assert_eq!(setting.send("4b"), Sent::Kept, "no request waits any more");
}

#[test]
fn a_second_request_is_given_back_while_the_first_one_waits() {
    let mut setting = Setting::new();
    let mut first = setting.park();
    let (second, _receiver) = oneshot::channel();
    assert!(setting.polling.park(second).is_err());
    setting.send("4a");
    assert_eq!(answer(&mut first).as_deref(), Some("4a"), "the first one is unharmed");
}

#[test]
fn a_request_whose_client_is_gone_makes_room_for_the_next() {
    let mut setting = Setting::new();
    let first = setting.park();
    assert!(!setting.polling.is_abandoned());
    drop(first);
    assert!(setting.polling.is_abandoned());
    let mut second = setting.park();
    setting.send("4a");
    assert_eq!(answer(&mut second).as_deref(), Some("4a"));
}

#[test]
fn what_no_client_could_take_still_waits() {
    let mut setting = Setting::new();
    drop(setting.park());
    assert_eq!(setting.send("4a"), Sent::Gone);
    assert_eq!(setting.waiting(), 1);
}

#[test]
fn a_heartbeat_overtakes_what_waits() {
    let mut setting = Setting::new();
    setting.send("4a");
    setting.send_ahead("2");
    assert_eq!(answer(&mut setting.park()).as_deref(), Some("2\u{1e}4a"));
}

#[test]
fn a_client_that_never_asks_has_a_bound() {
    let mut setting = Setting::with(Ledger::of(usize::MAX, 2));
    assert_eq!(setting.send("4a"), Sent::Kept);
    assert_eq!(setting.send("4b"), Sent::Yes);
    assert_eq!(setting.send("4c"), Sent::Full);
}

#[test]
fn what_does_not_fit_into_one_answer_comes_with_the_next() {
    let mut setting = Setting::new();
    let large = format!("4{}", "x".repeat(POLLING_ANSWER_BYTES_MAX));
    setting.send(&large);
    setting.send("4small");
    let mut first = setting.park();
    let body = first.try_recv().unwrap().unwrap();
    assert_eq!(body.parts.concat(), large.as_bytes());
    assert!(setting.polling.state().is_being_taken, "it cannot ask for more before it has read this");
    drop(body);
    assert!(!setting.polling.state().is_being_taken);
    assert_eq!(answer(&mut setting.park()).as_deref(), Some("4small"));
}

#[test]
fn a_client_that_moves_gets_no_frames_by_polling() {
    let mut setting = Setting::new();
    setting.polling.hold();
    let mut request = setting.park();
    assert_eq!(setting.send("4a"), Sent::Kept);
    assert_eq!(answer(&mut request), None);
    assert!(setting.polling.send_home());
    assert_eq!(answer(&mut request).as_deref(), Some("6"));
    assert_eq!(setting.waiting(), 1);
}

#[test]
fn requests_of_a_client_that_moves_are_sent_home_one_per_pause() {
    let mut setting = Setting::new();
    assert!(!setting.polling.send_home(), "it does not move");
    setting.polling.hold();
    assert!(!setting.polling.send_home(), "no request waits");
    let _first = setting.park();
    assert!(setting.polling.send_home());
    let mut second = setting.park();
    assert!(!setting.polling.send_home(), "the pause is not over");
    assert_eq!(answer(&mut second), None);
    setting.polling.end_pause();
    assert!(setting.polling.send_home());
    assert_eq!(answer(&mut second).as_deref(), Some("6"));
}

#[test]
fn the_end_of_a_pause_holds_no_client_that_does_not_move() {
    let mut setting = Setting::new();
    setting.polling.end_pause();
    let mut request = setting.park();
    setting.send("4a");
    assert_eq!(answer(&mut request).as_deref(), Some("4a"));
}

#[test]
fn a_client_that_did_not_move_after_all_gets_what_was_held_back() {
    let mut setting = Setting::new();
    setting.polling.hold();
    let mut request = setting.park();
    setting.send("4a");
    assert_eq!(setting.polling.release(), Sent::Yes);
    assert_eq!(answer(&mut request).as_deref(), Some("4a"));
}

#[test]
fn what_waits_goes_with_a_client_that_moves() {
    let mut setting = Setting::new();
    setting.polling.hold();
    let mut request = setting.park();
    setting.send("4a");
    setting.send("4b");
    let mut left = setting.polling.leave(&setting.ledger);
    assert_eq!(answer(&mut request).as_deref(), Some("6"));
    let moved = left.take(usize::MAX);
    assert_eq!(moved.iter().map(Frame::message).collect::<Vec<_>>(), ["4a", "4b"]);
    assert_eq!(setting.waiting(), 0);
}

#[test]
fn the_end_of_a_session_is_told_to_the_request_that_waits() {
    let mut setting = Setting::new();
    let mut request = setting.park();
    setting.polling.end();
    assert_eq!(answer(&mut request).as_deref(), Some("1"));
}
