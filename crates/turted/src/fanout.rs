//! The fan-out: from dispatches in a worker's inbox to one write per connection.
//!
//! Each dispatch is resolved against the registry and its frames are chained to the connections
//! they concern; then the connections are written one after the other, each with its whole chain
//! in one call. Long fan-outs are written in slices. Between slices newer dispatches are chained
//! too: a connection that still waits gets them behind what it waits for, so its order is kept,
//! and a dispatch to few connections goes to the front, so it does not wait for the many.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use turted_core::registry::Registry;

use crate::connection::Connection;
use crate::dispatcher::Delivery;
use crate::frame::Frame;
use crate::wire::{Wire, WireContext};

/// How long one slice may take; reads, heartbeats and other dispatches wait as long.
const SLICE: Duration = Duration::from_micros(500);
/// Writes between two looks at the clock.
const WRITES_PER_LOOK: usize = 16;
/// Dispatches to at most so many connections go to the front. They take about 100 us.
const FRONT_CONNECTIONS_MAX: usize = 64;
/// Chained frames above which the inbox waits: 12 bytes each.
const LINKS_MAX: usize = 1_000_000;

const NONE: u32 = u32::MAX;

/// The frames that wait for one connection, as places in [`Fanout::links`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { first: NONE, last: NONE };
}

#[derive(Clone, Copy, Debug)]
struct Link {
    frame: u32,
    next: u32,
}

/// The fan-out of one worker. Its vectors keep their memory: a delivery allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    frames: Vec<Frame>,
    links: Vec<Link>,
    waiting: VecDeque<Rc<Connection>>,
    batch: Vec<Frame>,
    few: Vec<Rc<Connection>>,
}

impl Fanout {
    /// Whether nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether another dispatch may be taken out of the inbox.
    pub(crate) fn has_room(&self) -> bool {
        self.links.len() < LINKS_MAX
    }

    /// Chains one dispatch to the connections it concerns.
    pub(crate) fn accept(
        &mut self,
        delivery: &Delivery,
        registry: &mut Registry<Rc<Connection>>,
        context: &WireContext,
    ) {
        let accepted = &*delivery.accepted;
        let mut encoded: Vec<[u32; Wire::COUNT]> = Vec::new();
        let busy = !self.waiting.is_empty();
        let mut reached = 0;
        self.few.clear();
        registry.resolve(&accepted.dispatch.targets, |connection, number, via| {
            reached += 1;
            if encoded.len() <= number {
                encoded.resize(number + 1, [NONE; Wire::COUNT]);
            }
            let frame = &mut encoded[number][connection.wire().index()];
            if *frame == NONE {
                *frame = place(self.frames.len());
                self.frames.push(connection.wire().encode(accepted, via, context));
            }
            self.chain(connection, *frame);
            if busy && reached <= FRONT_CONNECTIONS_MAX {
                self.few.push(Rc::clone(connection));
            }
        });
        if reached <= FRONT_CONNECTIONS_MAX {
            self.bring_forward();
        } else {
            // They wait in line; kept here, those that end would not be freed.
            self.few.clear();
        }
        if let Some(sender) = &delivery.reached {
            // Room for every worker's answer was made; nobody may listen any more.
            let _ = sender.try_send(reached);
        }
    }

    fn chain(&mut self, connection: &Rc<Connection>, frame: u32) {
        let link = place(self.links.len());
        self.links.push(Link { frame, next: NONE });
        let chain = connection.chain.get();
        if chain.first == NONE {
            connection.chain.set(Chain { first: link, last: link });
            self.waiting.push_back(Rc::clone(connection));
        } else {
            self.links[chain.last as usize].next = link;
            connection.chain.set(Chain { first: chain.first, last: link });
        }
    }

    /// Writes the connections of a small dispatch first, each with all that waits for it. Their
    /// old places in the queue then find nothing to write.
    fn bring_forward(&mut self) {
        for connection in self.few.drain(..).rev() {
            self.waiting.push_front(connection);
        }
    }

    /// Writes connections until none waits or the slice is over. `written` is told the connection
    /// and its frames, in order.
    pub(crate) fn write_slice(&mut self, mut write: impl FnMut(&Rc<Connection>, &[Frame])) {
        let started = Instant::now();
        let mut writes = 0;
        while let Some(connection) = self.waiting.pop_front() {
            self.unchain(&connection);
            if self.batch.is_empty() {
                continue;
            }
            write(&connection, &self.batch);
            writes += 1;
            if writes % WRITES_PER_LOOK == 0 && started.elapsed() > SLICE {
                break;
            }
        }
        self.batch.clear();
        if self.waiting.is_empty() {
            self.links.clear();
            self.frames.clear();
        }
    }

    /// Collects a connection's frames in `batch`.
    fn unchain(&mut self, connection: &Connection) {
        self.batch.clear();
        let mut next = connection.chain.replace(Chain::EMPTY).first;
        while let Some(link) = self.links.get(next as usize) {
            self.batch.push(self.frames[link.frame as usize].clone());
            next = link.next;
        }
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("LINKS_MAX bounds the links and each frame has a link")
}
