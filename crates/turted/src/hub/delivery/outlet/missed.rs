//! What a client missed while it was away, or the history of a channel: listed at once, encoded in portions as the client takes
//! it. Clients that missed the same share its frames.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::feeds::Feed;
use crate::hub::delivery::frame::{Frame, WeakFrame};
use crate::hub::delivery::wire::{Wire, WireContext};
use crate::hub::dispatch::log::Accepted;
use crate::io::backlogs::{Backlogs, Counted};

/// Bytes encoded at a time: what a socket and the client behind it take in one go.
const PORTION_BYTES: usize = 64 * 1024;
/// Bytes of frames kept for the next client that missed them too: as much as one client with much to catch up
/// on is sent, for the clients that come back with it.
const RECENT_BYTES_MAX: usize = 1024 * 1024;
/// How long they are kept where no client comes back any more.
pub(crate) const RECENT_AGE: Duration = Duration::from_secs(10);
/// Below this number of names it is not worth looking for those whose frames are gone.
const NAMES_MIN: usize = 1_024;

/// Why a client is told of something that is past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Telling {
    /// It missed it.
    Again,
    /// It is the history of a channel that it joined.
    History,
}

/// Dispatches that one client missed, or history that it asked for, each with the number of the reason to receive it.
#[derive(Debug)]
pub(crate) struct Missed {
    dispatches: VecDeque<(Arc<Accepted>, u32)>,
    wire: Wire,
    telling: Telling,
    frames: Rc<MissedFrames>,
    /// Held while it is under way.
    feed: Option<Feed>,
    _counted: Counted,
}

impl Missed {
    pub(crate) fn new(
        dispatches: Vec<(Arc<Accepted>, u32)>,
        (wire, telling): (Wire, Telling),
        frames: &Rc<MissedFrames>,
        backlogs: &Arc<Backlogs>,
    ) -> Self {
        let bytes = dispatches.len() * size_of::<(Arc<Accepted>, u32)>();
        let (frames, _counted) = (Rc::clone(frames), backlogs.count(bytes));
        Self { dispatches: dispatches.into(), wire, telling, frames, feed: None, _counted }
    }

    /// How many are not encoded yet.
    pub(crate) fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// The number of the last one.
    pub(crate) fn last(&self) -> Option<u64> {
        Some(self.dispatches.back()?.0.sequence())
    }

    /// Whether it is history.
    pub(crate) fn is_history(&self) -> bool {
        self.telling == Telling::History
    }

    /// Notes that it is under way.
    pub(crate) fn begin(&mut self, feed: Feed) {
        self.feed = Some(feed);
    }

    /// Encodes the next ones: one at least, if there is one.
    pub(super) fn portion(&mut self) -> Vec<Frame> {
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while bytes < PORTION_BYTES
            && let Some((accepted, number)) = self.dispatches.pop_front()
        {
            if let Some(frame) = self.frames.encode(&accepted, number, (self.wire, self.telling)) {
                bytes += frame.bytes().len();
                portion.push(frame);
            }
        }
        portion
    }

    /// Encodes all of them.
    pub(crate) fn into_frames(self) -> impl Iterator<Item = Frame> {
        let Self { dispatches, wire, telling, frames, .. } = self;
        let encode =
            move |(accepted, number): (Arc<Accepted>, u32)| frames.encode(&accepted, number, (wire, telling));
        dispatches.into_iter().filter_map(encode)
    }
}

/// Frames of what clients of one worker missed. One that a client still has to take, or that was
/// encoded a short while ago, is not encoded again for the next client.
#[derive(Debug)]
pub(crate) struct MissedFrames {
    context: WireContext,
    kept: RefCell<Kept>,
    /// Whether a task will make it forget.
    is_watched: Cell<bool>,
}

/// A dispatch, a reason to receive it and a wire, by their numbers.
type Name = (u64, u32, usize, Telling);

#[derive(Debug, Default)]
struct Kept {
    named: HashMap<Name, WeakFrame>,
    /// The number of names at which those whose frames are gone are looked for.
    named_max: usize,
    recent: VecDeque<Frame>,
    recent_bytes: usize,
}

impl MissedFrames {
    pub(crate) fn new(context: WireContext) -> Self {
        Self { context, kept: RefCell::default(), is_watched: Cell::new(false) }
    }

    /// The frame of a dispatch for the reason with this number. Never `None`: the reason is one of the
    /// dispatch.
    fn encode(&self, accepted: &Accepted, number: u32, (wire, telling): (Wire, Telling)) -> Option<Frame> {
        let name = (accepted.sequence(), number, wire.index(), telling);
        let kept = &mut *self.kept.borrow_mut();
        if let Some(frame) = kept.named.get(&name).and_then(WeakFrame::upgrade) {
            return Some(frame);
        }
        let via = accepted.dispatch.targets.vias().nth(usize::try_from(number).ok()?)?;
        let frame = match telling {
            Telling::Again => wire.encode(accepted, via, &self.context),
            Telling::History => wire.encode_history(accepted, via, &self.context),
        };
        kept.keep(name, &frame);
        Some(frame)
    }

    /// Whether no task watches it yet. From then on one does: the caller has to start it.
    pub(crate) fn watch(&self) -> bool {
        !self.is_watched.replace(true)
    }

    /// Lets go of what was kept for the next client.
    pub(crate) fn forget(&self) {
        self.is_watched.set(false);
        let kept = &mut *self.kept.borrow_mut();
        (kept.recent, kept.recent_bytes) = (VecDeque::new(), 0);
        kept.forget_names();
    }
}

impl Kept {
    fn keep(&mut self, name: Name, frame: &Frame) {
        if self.named.len() >= self.named_max.max(NAMES_MIN) {
            self.forget_names();
        }
        self.named.insert(name, frame.downgrade());
        self.recent_bytes += frame.bytes().len();
        self.recent.push_back(frame.clone());
        while self.recent_bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.bytes().len();
        }
    }

    fn forget_names(&mut self) {
        self.named.retain(|_, frame| frame.is_alive());
        self.named.shrink_to(NAMES_MIN);
        self.named_max = 2 * self.named.len();
    }
}
