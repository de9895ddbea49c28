//! The connections of one thread of the generator, and what they received.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::client::{Client, ClientError};
use super::histogram::Histogram;
use super::plan::Plan;
use super::protocol::Protocol;
use super::stamp::Stamp;
use super::transport::{Conversation, Destination};

/// Bytes of one read: many frames of a batch.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Connections that one thread opens at once: enough to keep a server busy, and well below its backlog.
const OPENING_MAX: usize = 64;
/// Connections from one source address. Linux has 28,232 ephemeral ports by default, and searches long for a
/// free one when many are taken.
const CONNECTIONS_PER_ADDRESS: usize = 5_000;

/// Receive buffer of a client that does not read. It is small, so that the memory in use grows by what the
/// server makes the kernel hold.
const STALLED_BUFFER_BYTES: u32 = 8 * 1024;

/// What every thread of a run gets.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) plan: Arc<Plan>,
    pub(crate) board: Arc<Board>,
    /// How many connections should be open, over all threads.
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) stop: CancellationToken,
}

/// What should be open. The numbers only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Connections that are opened and closed again.
    pub(crate) churned: usize,
    /// Connections that read.
    pub(crate) reading: usize,
    /// Connections that do not read.
    pub(crate) stalled: usize,
}

/// What the connections of one thread received.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) deliveries: u64,
    /// Deliveries that arrived after a later one of the same pusher.
    pub(crate) disordered: u64,
    /// Deliveries that arrived twice.
    pub(crate) duplicated: u64,
    /// Events that this run did not push.
    pub(crate) strange: u64,
    /// Connections that did not read and were ended by the server.
    pub(crate) cut: usize,
    pub(crate) latency: Histogram,
    /// The first reason why a connection failed or ended.
    pub(crate) complaint: Option<String>,
}

/// The connections of one thread.
#[derive(Debug)]
pub(crate) struct Fleet {
    orders: Orders,
    /// The number of this thread.
    thread: usize,
    pub(crate) scratch: RefCell<Box<[u8]>>,
    tally: RefCell<Tally>,
    stalled: RefCell<Vec<Client>>,
    tasks: TaskTracker,
}

/// What is done with a connection that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Churn,
    Read,
    Stall,
}

/// Runs the connections of one thread until the run ends.
///
/// # Errors
/// The thread cannot start a runtime.
pub(crate) fn run(orders: Orders, thread: usize) -> io::Result<Tally> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let fleet = Rc::new(Fleet {
        orders,
        thread,
        scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
        tally: RefCell::default(),
        stalled: RefCell::default(),
        tasks: TaskTracker::new(),
    });
    let cut = runtime.block_on(async {
        fleet.work().await;
        fleet.stalled.take().iter().filter(|client| client.is_cut()).count()
    });
    // Ends the tasks, and with them all connections.
    drop(runtime);
    Ok(Tally { cut, ..fleet.tally.take() })
}

impl Fleet {
    /// Opens connections whenever more are wanted, until the run ends.
    async fn work(self: &Rc<Self>) {
        let mut wanted = self.orders.wanted.clone();
        let mut open = Wanted::default();
        let stop = self.orders.stop.clone();
        let work = async {
            loop {
                let want = *wanted.borrow_and_update();
                self.open(open.churned..want.churned, Purpose::Churn).await;
                self.open(open.reading..want.reading, Purpose::Read).await;
                self.open(open.stalled..want.stalled, Purpose::Stall).await;
                open = want;
                if wanted.changed().await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    /// Opens this thread's share of a range of connections, several at once.
    async fn open(self: &Rc<Self>, range: std::ops::Range<usize>, purpose: Purpose) {
        let (threads, thread) = (self.orders.plan.clients.threads, self.thread);
        let mine = range.filter(move |index| index % threads == thread);
        let queue = Rc::new(RefCell::new(mine));
        let openers = TaskTracker::new();
        for _ in 0..OPENING_MAX {
            let (fleet, queue) = (Rc::clone(self), Rc::clone(&queue));
            let next = move || queue.borrow_mut().next();
            openers.spawn_local(async move {
                while let Some(index) = next() {
                    fleet.admit(index, purpose).await;
                }
            });
        }
        openers.close();
        openers.wait().await;
    }

    /// Opens one connection and uses it for its purpose.
    async fn admit(self: &Rc<Self>, index: usize, purpose: Purpose) {
        let client = match Client::open(self, index, purpose).await {
            Ok(client) => client,
            Err(error) => {
                self.complain(&error);
                return self.orders.board.fail();
            }
        };
        match purpose {
            Purpose::Churn => {
                drop(client);
                self.orders.board.pass();
            }
            Purpose::Stall => {
                self.stalled.borrow_mut().push(client);
                self.orders.board.pass();
            }
            Purpose::Read => {
                self.orders.board.join(self.group(index));
                let fleet = Rc::clone(self);
                self.tasks.spawn_local(async move {
                    let error = client.run(&fleet).await;
                    fleet.complain(&error);
                    fleet.orders.board.leave(fleet.group(index));
                });
            }
        }
    }

    /// Makes a TCP connection. On the loopback network the source addresses differ, because one address does
    /// not have enough ports for all.
    pub(crate) async fn connect(&self, index: usize, purpose: Purpose) -> io::Result<TcpStream> {
        let target = self.orders.plan.target.address;
        let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
            socket.bind(SocketAddr::from((source(std::process::id(), index), 0)))?;
        }
        if purpose == Purpose::Stall {
            socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
        }
        socket.connect(target).await
    }

    /// What the client of this number sends first, and its conversation afterwards.
    pub(crate) fn conversation(&self, index: usize) -> (Vec<u8>, Conversation) {
        let plan = &self.orders.plan;
        let channel = plan.spread.channel(self.group(index));
        let to = Destination {
            authority: &plan.target.authority,
            path: &plan.protocol.path,
            headers: &plan.protocol.speech.headers,
            channel: channel.as_deref(),
            index,
        };
        let Protocol { transport, speech, .. } = &plan.protocol;
        (transport.request(&to), Conversation::new(*transport, speech, channel))
    }

    pub(crate) fn patience(&self) -> Duration {
        self.orders.plan.patience
    }

    pub(crate) fn pushers(&self) -> usize {
        self.orders.plan.pushers
    }

    fn group(&self, index: usize) -> usize {
        index % self.orders.plan.spread.groups()
    }

    /// A connection received an event. `last` has the last number that the connection received of each
    /// pusher.
    pub(crate) fn received(&self, last: &mut [u32], stamp: Option<Stamp>) {
        let tally = &mut *self.tally.borrow_mut();
        let Some(stamp) = stamp else {
            tally.strange += 1;
            return;
        };
        let Stamp(number) = stamp;
        let pusher = number as usize % last.len();
        let last = &mut last[pusher];
        if number + 1 == *last {
            tally.duplicated += 1;
            return;
        }
        if number < *last {
            tally.disordered += 1;
        } else {
            *last = number + 1;
        }
        tally.deliveries += 1;
        tally.latency.record(self.orders.board.received(stamp));
    }

    fn complain(&self, error: &ClientError) {
        self.tally.borrow_mut().complaint.get_or_insert_with(|| error.to_string());
    }
}

/// An address of the loopback network. Each run has addresses of its own, because the ports of earlier runs
/// stay taken for a minute (TIME-WAIT, RFC 9293 3.6.1).
fn source(process: u32, index: usize) -> Ipv4Addr {
    let [_, _, high, low] = process.to_be_bytes();
    let last = index / CONNECTIONS_PER_ADDRESS % 254 + 1;
    // Neither 127.0.0.1, which servers use, nor the broadcast address of the network.
    Ipv4Addr::new(127, high | 0x80, low, u8::try_from(last).expect("at most 254"))
}

impl Tally {
    /// Adds what another thread received.
    pub(crate) fn merge(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.disordered += other.disordered;
        self.duplicated += other.duplicated;
        self.strange += other.strange;
        self.cut += other.cut;
        self.latency.merge(&other.latency);
        self.complaint = self.complaint.take().or(other.complaint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_many_connections_come_from_different_addresses() {
        let first = source(1, 0);
        assert_eq!(source(1, CONNECTIONS_PER_ADDRESS - 1), first);
        assert_ne!(source(1, CONNECTIONS_PER_ADDRESS), first);
        assert_ne!(source(2, 0), first);
        for (process, index) in [(0, 0), (u32::MAX, usize::MAX), (1 << 16, 1)] {
            let address = source(process, index);
            assert!(address.is_loopback());
            assert!(address != Ipv4Addr::LOCALHOST);
            assert!(address.octets()[3] != 255);
        }
    }
}
