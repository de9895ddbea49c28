//! What waits for one connection: frames in their order, and before them what it missed while it was
//! away, which is encoded in portions, as the client takes it.

use std::collections::VecDeque;
use std::rc::Rc;

use tokio::time::Instant;

use super::ledger::{Ledger, Sent, Waiting};
use super::missed::Missed;
use crate::hub::delivery::frame::Frame;
use crate::io::backlogs::Counted;

/// The frames that wait for one connection. Counted as long as they are in it.
#[derive(Debug)]
pub(crate) struct Waitlist {
    ledger: Rc<Ledger>,
    /// Those that go out next.
    ready: VecDeque<Frame>,
    /// What was missed, and the frames that came since.
    missed: Option<Box<Behind>>,
    /// Bytes of all frames.
    bytes: usize,
    /// The memory of the queues themselves: many small frames that other clients share take little else.
    places: Option<Counted>,
    /// When something began to wait.
    since: Instant,
}

/// What goes out when nothing is ready any more.
#[derive(Debug)]
struct Behind {
    missed: Missed,
    frames: VecDeque<Frame>,
}

impl Waitlist {
    pub(crate) fn new(ledger: &Rc<Ledger>) -> Self {
        let ledger = Rc::clone(ledger);
        Self { ledger, ready: VecDeque::new(), missed: None, bytes: 0, places: None, since: Instant::now() }
    }

    /// What waits, dispatches that are still to be encoded included.
    pub(crate) fn waiting(&self) -> Waiting {
        let missed = self.missed.as_ref().map_or(0, |behind| behind.missed.len());
        Waiting { frames: self.frames() + missed, bytes: self.bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.missed.is_none()
    }

    /// Since when something has waited; `None` if nothing waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.since)
    }

    /// Adds frames at the end. `Full` if more waits now than is allowed.
    pub(crate) fn add(&mut self, frames: &[Frame]) -> Sent {
        frames.iter().for_each(|frame| self.push(frame));
        let waiting = Waiting { frames: self.frames(), bytes: self.bytes };
        if self.ledger.is_exceeded_by(waiting) { Sent::Full } else { Sent::Yes }
    }

    /// Adds a frame of the server's own at the end. The limits of the client are not looked at for it.
    pub(crate) fn push(&mut self, frame: &Frame) {
        self.count(frame);
        let queue = self.missed.as_mut().map_or(&mut self.ready, |behind| &mut behind.frames);
        let places = queue.capacity();
        queue.push_back(frame.clone());
        if queue.capacity() != places {
            self.count_places();
        }
    }

    /// Adds a frame of the server's own before all other frames, but behind the first `under_way` ones, which
    /// are half sent. If the same frame waits there already it is not added again: a client that asks and does
    /// not read gets one answer.
    pub(crate) fn push_ahead(&mut self, frame: &Frame, under_way: usize) {
        if self.ready.get(under_way).is_some_and(|next| next.bytes() == frame.bytes()) {
            return;
        }
        self.count(frame);
        let places = self.ready.capacity();
        self.ready.insert(under_way.min(self.ready.len()), frame.clone());
        if self.ready.capacity() != places {
            self.count_places();
        }
    }

    /// Adds what the client missed, behind all that waits already.
    pub(crate) fn miss(&mut self, missed: Missed) {
        self.begin();
        match &mut self.missed {
            None => self.missed = Some(Box::new(Behind { missed, frames: VecDeque::new() })),
            // The client has come back a second time before it took what it missed the first time.
            Some(_) => missed.into_frames().for_each(|frame| self.push(&frame)),
        }
    }

    /// The frames that go out next; none only if nothing waits.
    pub(crate) fn ready(&mut self) -> &VecDeque<Frame> {
        if self.ready.is_empty() {
            self.encode_portion();
        }
        &self.ready
    }

    /// Takes the frame that goes out next.
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        self.ready();
        let frame = self.ready.pop_front()?;
        self.bytes -= frame.bytes().len();
        self.ledger.metrics.outbox_bytes.subtract(frame.bytes().len());
        if self.is_empty() {
            // A client for which nothing waits owns no queue.
            (self.ready, self.places) = (VecDeque::new(), None);
        }
        Some(frame)
    }

    /// Takes at least one frame, and more up to `bytes_max`.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Vec<Frame> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.ready().front() {
            bytes += next.bytes().len();
            if bytes > bytes_max && !taken.is_empty() {
                break;
            }
            taken.extend(self.pop());
        }
        taken
    }

    /// Gives up all that waits.
    pub(crate) fn clear(&mut self) {
        let empty = Self::new(&self.ledger);
        *self = empty;
    }

    /// Frames that are encoded.
    fn frames(&self) -> usize {
        self.ready.len() + self.missed.as_ref().map_or(0, |behind| behind.frames.len())
    }

    fn begin(&mut self) {
        if self.is_empty() {
            self.since = Instant::now();
        }
    }

    fn count(&mut self, frame: &Frame) {
        self.begin();
        frame.count(&self.ledger.backlogs);
        self.bytes += frame.bytes().len();
        self.ledger.metrics.outbox_bytes.add(frame.bytes().len());
    }

    fn count_places(&mut self) {
        let behind = self.missed.as_ref().map_or(0, |behind| behind.frames.capacity());
        let bytes = (self.ready.capacity() + behind) * size_of::<Frame>();
        self.places = Some(self.ledger.backlogs.count(bytes));
    }

    fn encode_portion(&mut self) {
        let Some(mut behind) = self.missed.take() else { return };
        for frame in behind.missed.portion() {
            self.count(&frame);
            self.ready.push_back(frame);
        }
        if behind.missed.len() == 0 {
            self.ready.append(&mut behind.frames);
        } else {
            self.missed = Some(behind);
        }
        self.count_places();
    }
}

impl Drop for Waitlist {
    fn drop(&mut self) {
        self.ledger.metrics.outbox_bytes.subtract(self.bytes);
    }
}

impl Ledger {
    /// One frame alone always fits: its push was accepted, and the frame is only a little longer.
    pub(crate) fn is_exceeded_by(&self, waiting: Waiting) -> bool {
        waiting.frames > self.frames_max || (waiting.frames > 1 && waiting.bytes > self.bytes_max)
    }

    /// A ledger for tests.
    #[cfg(test)]
    pub(crate) fn of(bytes_max: usize, frames_max: usize) -> Rc<Self> {
        let backlogs = crate::io::backlogs::Backlogs::new(usize::MAX);
        Rc::new(Self { bytes_max, frames_max, metrics: std::sync::Arc::default(), backlogs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(frames: &[Frame]) -> Vec<&str> {
        frames.iter().map(Frame::message).collect()
    }

    #[test]
    fn more_than_may_wait_is_full_but_one_frame_always_fits() {
        let ledger = Ledger::of(10, 3);
        let mut waitlist = Waitlist::new(&ledger);
        assert_eq!(waitlist.add(&[Frame::bare(&[b'x'; 100])]), Sent::Yes);
        assert_eq!(waitlist.add(&[Frame::bare(b"y")]), Sent::Full);
        let mut waitlist = Waitlist::new(&ledger);
        let small = Frame::bare(b"z");
        assert_eq!(waitlist.add(&[small.clone(), small.clone(), small.clone()]), Sent::Yes);
        assert_eq!(waitlist.add(&[small]), Sent::Full);
    }

    #[test]
    fn what_waits_is_counted_until_it_is_taken_or_given_up() {
        let ledger = Ledger::of(1_000, 100);
        let mut waitlist = Waitlist::new(&ledger);
        assert_eq!(waitlist.since(), None);
        waitlist.add(&[Frame::bare(b"0123456789"), Frame::bare(b"abcde")]);
        assert!(waitlist.since().is_some());
        assert_eq!(waitlist.waiting(), Waiting { frames: 2, bytes: 15 });
        assert_eq!(ledger.metrics.outbox_bytes.get(), 15);
        assert_eq!(texts(&waitlist.take(12)), ["0123456789"], "at most 12 bytes");
        assert_eq!((waitlist.waiting().bytes, ledger.metrics.outbox_bytes.get()), (5, 5));
        assert!(ledger.backlogs.bytes() > 0);
        drop(waitlist);
        assert_eq!((ledger.metrics.outbox_bytes.get(), ledger.backlogs.bytes()), (0, 0));
    }

    #[test]
    fn the_places_of_frames_that_others_share_count_for_each_client() {
        let ledger = Ledger::of(usize::MAX, usize::MAX);
        let frame = Frame::bare(b"x");
        let bytes_of = |clients: usize| {
            let mut waitlists: Vec<_> = (0..clients).map(|_| Waitlist::new(&ledger)).collect();
            for waitlist in &mut waitlists {
                (0..1_000).for_each(|_| {
                    waitlist.add(std::slice::from_ref(&frame));
                });
            }
            ledger.backlogs.bytes()
        };
        let more = bytes_of(101) - bytes_of(1);
        assert!((800_000..1_700_000).contains(&more), "{more} bytes for 100,000 places");
        drop(frame);
        assert_eq!(ledger.backlogs.bytes(), 0);
    }

    #[test]
    fn a_heartbeat_goes_ahead_of_what_waits_and_behind_what_is_under_way() {
        let mut waitlist = Waitlist::new(&Ledger::of(2, 1));
        waitlist.add(&[Frame::text("half sent", 0), Frame::text("next", 0)]);
        waitlist.push_ahead(&Frame::text("heartbeat", 0), 1);
        assert_eq!(texts(&waitlist.take(1_000)), ["half sent", "heartbeat", "next"]);
        waitlist.push_ahead(&Frame::text("heartbeat", 0), 1);
        assert_eq!(texts(&waitlist.take(1_000)), ["heartbeat"]);
    }

    #[test]
    fn a_client_that_asks_for_heartbeats_and_does_not_read_has_one_waiting() {
        let mut waitlist = Waitlist::new(&Ledger::of(1_000, 100));
        waitlist.add(&[Frame::text("half sent", 0), Frame::text("next", 0)]);
        (0..1_000).for_each(|_| waitlist.push_ahead(&Frame::text("3", 0), 1));
        assert_eq!(texts(&waitlist.take(1_000)), ["half sent", "3", "next"]);
        (0..1_000).for_each(|_| waitlist.push_ahead(&Frame::text("3", 0), 0));
        assert_eq!(waitlist.waiting(), Waiting { frames: 1, bytes: 3 });
    }
}
