//! The fan-out: from dispatches in a worker's inbox to one write per connection.
//!
//! Each dispatch is resolved against the registry and its frames are chained to the connections
//! they concern; then the connections are written one after the other, each with its whole chain
//! in one call. A frame is encoded when the first connection that receives it is written, and
//! dropped when the last one is. Long fan-outs are written in slices. Between slices newer
//! dispatches are chained too: a connection that still waits gets them behind what it waits for, so
//! its order is kept. Connections wait in one of two lines, so that a dispatch to few of them does
//! not wait for one to many.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::registry::Registry;

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::round::{Round, TURNS_MAX};
use crate::hub::delivery::wire::{Wire, WireContext};
use crate::hub::dispatch::inbox::Delivery;
use crate::hub::dispatch::log::Accepted;

#[cfg(test)]
mod tests;

/// How long one slice may take; reads, heartbeats and other dispatches wait as long.
pub(crate) const SLICE: Duration = Duration::from_micros(500);
/// A dispatch to at most this many connections is small. It takes about 100 us.
const SMALL_CONNECTIONS_MAX: usize = 64;
/// One write in so many goes to a connection that waits for a large dispatch, even while small ones wait: small
/// dispatches that never end must not hold it up for ever.
const LARGE_SHARE: usize = 4;
/// Frames one connection is passed at a time: four times what one system call takes.
const BATCH_FRAMES_MAX: usize = 256;
/// Bytes that are encoded for one round, unless one frame is longer: about 20 us.
const ENCODED_BYTES_MAX: usize = 16 * 1024;
/// Chained frames above which the inbox waits: 8 bytes each.
const LINKS_MAX: usize = 1_000_000;
/// Frames above which the inbox waits: 64 bytes each, beside what they hold.
const FRAMES_MAX: usize = 100_000;
/// Bytes in frames above which the inbox waits: a dispatch that has not gone out is in the log and
/// counted there, its frames are not.
const BYTES_MAX: usize = 16 * 1024 * 1024;

const NONE: u32 = u32::MAX;

/// What the fan-out knows of a receiver.
pub(crate) trait Recipient {
    /// The wire on which it receives.
    fn wire(&self) -> Wire;

    /// What waits for it, kept for the fan-out.
    fn chain(&self) -> &Cell<Chain>;
}

/// The frames that wait for one connection, as places in [`Fanout::links`], and the line it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    line: Line,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { first: NONE, last: NONE, line: Line::None };

    /// Whether nothing waits.
    pub(crate) fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// Where a connection waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    None,
    /// In the line of a large dispatch.
    Large,
    /// In the line of small dispatches; perhaps in the other line as well.
    Small,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    frame: u32,
    next: u32,
}

/// A frame, and how often it is still to be written.
#[derive(Debug)]
struct Slot {
    state: Encoding,
    wire: Wire,
    uses: u32,
    /// About what it holds, counted in [`Fanout::bytes`] until it was written for the last time.
    bytes: usize,
}

#[derive(Debug)]
enum Encoding {
    /// To be encoded, for the reason with this number.
    Due(Arc<Accepted>, usize),
    Encoded(Frame),
    /// Written for the last time.
    Over,
}

/// The fan-out of one worker. Its vectors keep their memory: a delivery allocates nothing.
#[derive(Debug)]
pub(crate) struct Fanout<C> {
    slots: Vec<Slot>,
    bytes: usize,
    links: Vec<Link>,
    large: VecDeque<Rc<C>>,
    small: VecDeque<Rc<C>>,
    writes: usize,
    round: Round<C>,
    few: Vec<Rc<C>>,
}

impl<C> Default for Fanout<C> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            bytes: 0,
            links: Vec::new(),
            large: VecDeque::new(),
            small: VecDeque::new(),
            writes: 0,
            round: Round::default(),
            few: Vec::new(),
        }
    }
}

impl<C: Recipient> Fanout<C> {
    /// Whether nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Whether another dispatch may be taken out of the inbox.
    pub(crate) fn has_room(&self) -> bool {
        self.links.len() < LINKS_MAX && self.slots.len() < FRAMES_MAX && self.bytes < BYTES_MAX
    }

    /// Chains one dispatch to the connections it concerns. Encodes nothing. Returns how many they are.
    pub(crate) fn accept(&mut self, delivery: &Delivery, registry: &mut Registry<Rc<C>>) -> usize {
        let accepted = &delivery.accepted;
        let mut reached = 0;
        // The number of a reason only grows, so the frames of one reason are enough.
        let (mut reason, mut frames) = (0, [NONE; Wire::COUNT]);
        registry.resolve(accepted.sequence(), &accepted.dispatch.targets, |connection, number, _| {
            if number != reason {
                (reason, frames) = (number, [NONE; Wire::COUNT]);
            }
            let wire = connection.wire();
            let frame = &mut frames[wire.index()];
            if *frame == NONE {
                *frame = self.add(accepted, number, wire);
            }
            self.chain(&**connection, *frame);
            reached += 1;
            self.line_up(connection, reached);
        });
        for connection in self.few.drain(..) {
            enqueue(&mut self.small, Line::Small, connection);
        }
        if let Some(sender) = &delivery.reached {
            // The channel has room for the answer of every worker. The push may have stopped waiting.
            let _ = sender.try_send(reached);
        }
        reached
    }

    /// A frame that is encoded when it is needed.
    fn add(&mut self, accepted: &Arc<Accepted>, number: usize, wire: Wire) -> u32 {
        let bytes = accepted.event_bytes();
        self.bytes += bytes;
        self.slots.push(Slot { state: Encoding::Due(Arc::clone(accepted), number), wire, uses: 0, bytes });
        place(self.slots.len() - 1)
    }

    fn chain(&mut self, connection: &C, frame: u32) {
        let link = place(self.links.len());
        self.links.push(Link { frame, next: NONE });
        self.slots[frame as usize].uses += 1;
        let mut chain = connection.chain().get();
        if chain.first == NONE {
            chain.first = link;
        } else {
            self.links[chain.last as usize].next = link;
        }
        connection.chain().set(Chain { last: link, ..chain });
    }

    /// Lets a connection, the `reached`th that the dispatch reaches, wait in the right line. The first few are
    /// held back until it is known whether there are more, which makes the dispatch a large one.
    fn line_up(&mut self, connection: &Rc<C>, reached: usize) {
        self.few.push(Rc::clone(connection));
        if reached > SMALL_CONNECTIONS_MAX {
            for connection in self.few.drain(..) {
                enqueue(&mut self.large, Line::Large, connection);
            }
        }
    }

    /// Writes connections until none waits or the slice is over.
    pub(crate) fn write_slice(&mut self, context: &WireContext, mut write: impl FnMut(&Round<C>)) {
        let started = Instant::now();
        while !self.is_idle() && started.elapsed() <= SLICE {
            self.write_round(TURNS_MAX, context, &mut write);
        }
        if self.is_idle() {
            self.links.clear();
            self.slots.clear();
        }
    }

    /// The number of the first dispatch that waits for a connection, if one does.
    pub(crate) fn next_for(&self, connection: &C) -> Option<u64> {
        let link = self.links.get(connection.chain().get().first as usize)?;
        self.slots.get(link.frame as usize)?.sequence()
    }

    /// Takes all frames that wait for a connection. Its place in a line will find none any more.
    pub(crate) fn take(&mut self, connection: &C, context: &WireContext) -> Vec<Frame> {
        let mut taken = Vec::new();
        while connection.chain().get().first != NONE {
            self.unchain(connection, context);
            taken.append(&mut self.round.frames);
        }
        taken
    }

    /// Writes at most `turns_max` connections.
    fn write_round(&mut self, turns_max: usize, context: &WireContext, write: &mut impl FnMut(&Round<C>)) {
        self.gather(turns_max, context);
        if !self.round.is_empty() {
            write(&self.round);
            self.round.clear();
        }
    }

    /// Collects connections and their frames in `round`, until it is time to look at the clock.
    fn gather(&mut self, turns_max: usize, context: &WireContext) {
        let mut encoded = 0;
        // Connections without frames count as well: there may be thousands in a row.
        for _ in 0..turns_max {
            if self.round.frames.len() >= BATCH_FRAMES_MAX || encoded >= ENCODED_BYTES_MAX {
                break;
            }
            let Some(connection) = self.next() else { break };
            let gathered = self.round.frames.len();
            encoded += self.unchain(&*connection, context);
            let chain = connection.chain().get();
            if !chain.is_empty() {
                // At the front again, so that it keeps its place in the line.
                match chain.line {
                    Line::Small => self.small.push_front(Rc::clone(&connection)),
                    Line::Large | Line::None => self.large.push_front(Rc::clone(&connection)),
                }
            }
            // A connection that was in both lines has no chain the second time.
            if self.round.frames.len() > gathered {
                self.round.push(connection);
            }
            if !chain.is_empty() {
                break;
            }
        }
    }

    fn next(&mut self) -> Option<Rc<C>> {
        self.writes = self.writes.wrapping_add(1);
        let Self { small, large, .. } = self;
        let (first, second) =
            if self.writes.is_multiple_of(LARGE_SHARE) { (large, small) } else { (small, large) };
        first.pop_front().or_else(|| second.pop_front())
    }

    /// Collects a connection's frames in `round`. Returns how many bytes had to be encoded.
    fn unchain(&mut self, connection: &C, context: &WireContext) -> usize {
        let chain = connection.chain().get();
        let (mut next, mut encoded) = (chain.first, 0);
        let end = self.round.frames.len() + BATCH_FRAMES_MAX;
        while let Some(link) = self.links.get(next as usize).copied()
            && self.round.frames.len() < end
        {
            let slot = &mut self.slots[link.frame as usize];
            let is_due = matches!(slot.state, Encoding::Due(..));
            let frame = slot.take(context);
            encoded += frame.as_ref().filter(|_| is_due).map_or(0, |frame| frame.bytes().len());
            self.round.frames.extend(frame);
            if slot.uses == 0 {
                self.bytes -= slot.bytes;
            }
            next = link.next;
        }
        connection.chain().set(if next == NONE { Chain::EMPTY } else { Chain { first: next, ..chain } });
        encoded
    }
}

impl Slot {
    /// The number of its dispatch, as long as it is still to be written.
    fn sequence(&self) -> Option<u64> {
        match &self.state {
            Encoding::Due(accepted, _) => Some(accepted.sequence()),
            Encoding::Encoded(frame) => Some(frame.sequence()),
            Encoding::Over => None,
        }
    }

    /// The frame for one of its receivers. Never `None`: it is taken once for each link.
    fn take(&mut self, context: &WireContext) -> Option<Frame> {
        let frame = match mem::replace(&mut self.state, Encoding::Over) {
            Encoding::Due(accepted, number) => {
                let via = accepted.dispatch.targets.vias().nth(number)?;
                self.wire.encode(&accepted, via, context)
            }
            Encoding::Encoded(frame) => frame,
            Encoding::Over => return None,
        };
        self.uses -= 1;
        if self.uses > 0 {
            self.state = Encoding::Encoded(frame.clone());
        }
        Some(frame)
    }
}

/// Puts a connection at the end of a line, unless it waits there already or in the faster one.
fn enqueue<C: Recipient>(queue: &mut VecDeque<Rc<C>>, line: Line, connection: Rc<C>) {
    let chain = connection.chain().get();
    if chain.line == Line::None || (chain.line, line) == (Line::Large, Line::Small) {
        connection.chain().set(Chain { line, ..chain });
        queue.push_back(connection);
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("LINKS_MAX bounds the links and each frame has a link")
}
