//! The connections of one thread of the generator, and what they received.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::channel::Channel;
use super::client::{Client, ClientError, Left};
use super::histogram::Histogram;
use super::marks::{Mark, Marks};
use super::memory::{Memory, Recall};
use super::plan::{Plan, Target};
use super::protocol::Protocol;
use super::stamp::Stamp;
use super::transport::{Ask, Conversation, Destination, Transport};

/// Bytes of one read: many frames of a batch.
const SCRATCH_BYTES: usize = 64 * 1024;
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
    /// Ends all connections that read; their clients come back when that is wanted.
    pub(crate) loss: CancellationToken,
    pub(crate) stop: CancellationToken,
}

/// What should be open. The numbers only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Connections that are opened and closed again.
    pub(crate) churned: usize,
    /// Connections that read.
    pub(crate) reading: usize,
    /// Clients that come back after all connections were lost.
    pub(crate) returning: usize,
    /// Connections that do not read.
    pub(crate) stalled: usize,
}

/// What the connections of one thread received.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Deliveries of the load.
    pub(crate) load: Heard,
    /// Deliveries around a return.
    pub(crate) told: Heard,
    /// Events that this run did not push.
    pub(crate) strange: u64,
    /// Connections that did not read and were ended by the server.
    pub(crate) cut: usize,
    pub(crate) latency: Histogram,
    /// The first reason why a connection failed or ended.
    pub(crate) complaint: Option<String>,
}

/// Deliveries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) deliveries: u64,
    /// Those that arrived after a later one of the same pusher.
    pub(crate) disordered: u64,
    /// Those that arrived twice. They are not among the deliveries.
    pub(crate) duplicated: u64,
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
    /// What clients have that lost their connections, by their numbers.
    away: RefCell<HashMap<usize, Left>>,
    tasks: TaskTracker,
}

/// What is done with a connection that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Churn,
    Read,
    Return,
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
        away: RefCell::default(),
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
                self.open(open.returning..want.returning, Purpose::Return).await;
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
        let opening = self.orders.plan.clients.opening.min(range.len());
        let mine = range.filter(move |index| index % threads == thread);
        let queue = Rc::new(RefCell::new(mine));
        let openers = TaskTracker::new();
        for _ in 0..opening {
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
        let left = match purpose {
            Purpose::Return => match self.away.borrow_mut().remove(&index) {
                Some(left) => left,
                // It failed before, and its connection was none that could be lost.
                None => return self.orders.board.fail(),
            },
            _ => Left::nothing(&self.orders.plan),
        };
        let client = match Client::open(self, index, purpose, left).await {
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
                self.tasks.spawn_local(Rc::clone(self).read(client, index));
            }
            Purpose::Return => {
                self.orders.board.pass();
                self.tasks.spawn_local(Rc::clone(self).read_to_the_end(client, index));
            }
        }
    }

    /// Reads until the connection ends, or is lost on purpose.
    async fn read(self: Rc<Self>, mut client: Client, index: usize) {
        if self.orders.plan.missed == 0 {
            return self.read_to_the_end(client, index).await;
        }
        let loss = self.orders.loss.clone();
        match loss.run_until_cancelled(client.run(&self)).await {
            Some(error) => self.end(&error, index),
            None => {
                self.away.borrow_mut().insert(index, client.leave());
                self.orders.board.lose();
            }
        }
    }

    async fn read_to_the_end(self: Rc<Self>, mut client: Client, index: usize) {
        let error = client.run(&self).await;
        self.end(&error, index);
    }

    fn end(&self, error: &ClientError, index: usize) {
        self.complain(error);
        self.orders.board.leave(self.group(index));
    }

    /// Makes a connection. On the loopback network the source addresses differ, because one address does
    /// not have enough ports for all.
    pub(crate) async fn connect(&self, index: usize, purpose: Purpose) -> io::Result<Channel> {
        let target = self.orders.plan.target.address;
        let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
            socket.bind(SocketAddr::from((source(std::process::id(), index), 0)))?;
        }
        if purpose == Purpose::Stall {
            socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
        }
        Channel::open(socket.connect(target).await?, self.orders.plan.target.tls.as_ref()).await
    }

    /// What the client of this number sends first. One that comes back has a `memory`, and one whose WebSocket takes over
    /// the `session` that it takes over.
    pub(crate) fn request(&self, index: usize, memory: Option<&Memory>, session: Option<&str>) -> Vec<u8> {
        let plan = &self.orders.plan;
        let channel = plan.spread.channel(self.group(index));
        plan.protocol.transport.request(&Destination {
            authority: &plan.target.authority,
            path: &plan.protocol.path,
            speech: &plan.protocol.speech,
            memory,
            channel: channel.as_deref(),
            session,
            index,
        })
    }

    /// The conversation of the client of this number.
    pub(crate) fn conversation(&self, index: usize, memory: Option<Memory>) -> Conversation {
        let plan = &self.orders.plan;
        let Protocol { transport, speech, .. } = &plan.protocol;
        let recall = match memory {
            Some(memory) => Recall::Back(memory),
            None if plan.missed > 0 => Recall::Keeps(Memory::default()),
            None => Recall::Nothing,
        };
        let channel = plan.spread.channel(self.group(index));
        Conversation::new(*transport, speech, (channel.clone(), self.asks(index, channel)), recall)
    }

    /// What the client of this number asks for: to be its user, or to join its channel and others that nobody pushes to.
    fn asks(&self, index: usize, channel: Option<String>) -> Vec<Ask> {
        let Plan { spread, joins, .. } = &*self.orders.plan;
        let others = if channel.is_some() { 1..*joins } else { 0..0 };
        let joined = channel.into_iter().chain(others.map(|number| format!("bench-other-{number}")));
        spread.user(index).map(Ask::Ident).into_iter().chain(joined.map(Ask::Join)).collect()
    }

    /// Whether sessions begin by polling.
    pub(crate) fn polls(&self) -> bool {
        self.orders.plan.protocol.transport == Transport::Polling
    }

    pub(crate) fn target(&self) -> (&Target, &str) {
        (&self.orders.plan.target, &self.orders.plan.protocol.path)
    }

    /// The name of a value that a client needs to come back, and does not remember.
    pub(crate) fn forgotten(&self, memory: &Memory) -> Option<&str> {
        let keeps = &self.orders.plan.protocol.speech.keeps;
        keeps.iter().map(|keep| &*keep.name).find(|name| memory.get(name).is_none())
    }

    pub(crate) fn patience(&self) -> Duration {
        self.orders.plan.patience
    }

    fn group(&self, index: usize) -> usize {
        index % self.orders.plan.spread.groups()
    }

    /// A client received a frame with events.
    pub(crate) fn received(&self, marks: &mut Marks, frame: &[u8]) {
        let tally = &mut *self.tally.borrow_mut();
        let mut is_strange = true;
        for stamp in Stamp::all(frame) {
            is_strange = false;
            let is_told = marks.is_told(stamp);
            let heard = if is_told { &mut tally.told } else { &mut tally.load };
            match marks.mark(stamp) {
                Mark::Again => {
                    heard.duplicated += 1;
                    continue;
                }
                Mark::Disordered => heard.disordered += 1,
                Mark::InOrder => {}
            }
            heard.deliveries += 1;
            let late = self.orders.board.received(stamp);
            // What was pushed while nobody was there came late by design.
            if !is_told {
                tally.latency.record(late);
            }
        }
        tally.strange += u64::from(is_strange);
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

impl Heard {
    fn merge(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.disordered += other.disordered;
        self.duplicated += other.duplicated;
    }
}

impl Tally {
    /// Adds what another thread received.
    pub(crate) fn merge(&mut self, other: Self) {
        self.load.merge(other.load);
        self.told.merge(other.told);
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
