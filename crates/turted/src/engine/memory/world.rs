//! All servers, who is sent where, and what is on its way.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use turted_core::cursor::Cursor;

use super::data::Data;
use super::dice::Dice;
use super::faults::{Chances, Flaws};
use super::server::Server;

/// Time between two attempts to deliver what a server that is stopped, or a node that is cut off, holds up.
pub(super) const HELD_UP: Duration = Duration::from_millis(50);

/// Where all nodes meet.
pub(crate) struct World {
    pub(super) dice: Dice,
    pub(super) chances: Cell<Chances>,
    pub(super) flaws: Cell<Flaws>,
    pub(super) started: Instant,
    servers: RefCell<Vec<Server>>,
    master: Cell<usize>,
    /// Processes that are sent to another server than the master.
    elsewhere: RefCell<BTreeMap<u64, usize>>,
    /// Processes that are cut off.
    cut_off: RefCell<BTreeSet<u64>>,
    connections: Cell<u64>,
    under_way: RefCell<BinaryHeap<Reverse<UnderWay>>>,
    sent: Cell<u64>,
    is_sent: Notify,
}

/// Something that comes to a server at some time.
struct UnderWay {
    at: Instant,
    number: u64,
    to: Address,
    job: Job,
}

type Job = Box<dyn FnOnce(&mut Server)>;

/// A connection, as a server sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) process: u64,
    pub(super) server: usize,
    pub(super) run: u64,
    pub(super) number: u64,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl World {
    /// One server without anything.
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        let (dice, started) = (Dice::new(seed), Instant::now());
        let run = dice.number();
        Rc::new(Self {
            dice,
            chances: Cell::default(),
            flaws: Cell::default(),
            started,
            servers: RefCell::new(vec![Server::new((run, run), Data::default(), started)]),
            master: Cell::new(0),
            elsewhere: RefCell::default(),
            cut_off: RefCell::default(),
            connections: Cell::new(0),
            under_way: RefCell::default(),
            sent: Cell::new(0),
            is_sent: Notify::new(),
        })
    }

    /// How often something goes wrong from now on.
    pub(crate) fn has_chances(&self, chances: Chances) {
        self.chances.set(chances);
    }

    /// What the engine does wrong from now on.
    pub(crate) fn has_flaws(&self, flaws: Flaws) {
        self.flaws.set(flaws);
    }

    /// Cuts a process off, or joins it again: what it has sent meanwhile comes then.
    pub(crate) fn cut_off(&self, process: u64, is_cut_off: bool) {
        let mut cut_off = self.cut_off.borrow_mut();
        let _ = if is_cut_off { cut_off.insert(process) } else { cut_off.remove(&process) };
    }

    /// Whether a process alone is sent to a former master, and another epoch reigns at the master.
    pub(crate) fn is_left_alone(&self, process: u64) -> bool {
        let elsewhere = self.elsewhere.borrow();
        let Some(former) = elsewhere.get(&process).filter(|_| elsewhere.len() == 1) else { return false };
        let epoch =
            |server: usize| self.with(server, |server| server.data.reign.as_ref().map(|reign| reign.epoch));
        epoch(*former) != epoch(self.master.get())
    }

    /// What stands in the log of the master.
    pub(crate) fn log(&self) -> Vec<(Cursor, Bytes)> {
        self.with_master(|server, _| server.data.entries.iter().cloned().collect())
    }

    /// Brings what is sent to the servers, for ever.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            let next = self.under_way.borrow().peek().map(|Reverse(next)| next.at);
            let Some(at) = next else {
                self.is_sent.notified().await;
                continue;
            };
            tokio::select! {
                biased;
                () = self.is_sent.notified() => continue,
                () = sleep_until(at) => {}
            }
            let arrived = self.under_way.borrow_mut().pop();
            if let Some(Reverse(arrived)) = arrived {
                self.arrive(arrived);
            }
        }
    }

    fn arrive(&self, arrived: UnderWay) {
        let UnderWay { to, job, .. } = arrived;
        if self.holds_up(to) {
            return self.send(to, Instant::now() + HELD_UP, job);
        }
        let mut servers = self.servers.borrow_mut();
        let server = &mut servers[to.server];
        if server.has(to) {
            job(server);
        }
    }

    /// Sends something to a server. It is not done if the connection has ended there until then.
    pub(super) fn send(&self, to: Address, at: Instant, job: Job) {
        let number = self.sent.get();
        self.sent.set(number + 1);
        let mut under_way = self.under_way.borrow_mut();
        let is_next = under_way.peek().is_none_or(|Reverse(next)| at < next.at);
        under_way.push(Reverse(UnderWay { at, number, to, job }));
        if is_next {
            self.is_sent.notify_one();
        }
    }

    /// Whether nothing comes from a process to a server at the moment.
    pub(super) fn holds_up(&self, to: Address) -> bool {
        let is_stopped = self.servers.borrow()[to.server].is_stopped();
        is_stopped || self.cut_off.borrow().contains(&to.process)
    }

    /// Whether a connection is there.
    pub(super) fn has(&self, address: Address) -> bool {
        self.servers.borrow()[address.server].has(address)
    }

    /// A new connection of a process, to the server that it is sent to.
    pub(super) fn address(&self, process: u64) -> Address {
        let server = self.elsewhere.borrow().get(&process).copied().unwrap_or_else(|| self.master.get());
        let number = self.connections.get();
        self.connections.set(number + 1);
        Address { process, server, run: self.servers.borrow()[server].run, number }
    }

    /// Whose data a server has: its own, or that of the master if it is a replica.
    pub(super) fn followed(&self, server: usize) -> usize {
        if self.servers.borrow()[server].is_master { server } else { self.master.get() }
    }

    pub(super) fn with<T>(&self, server: usize, look: impl FnOnce(&mut Server) -> T) -> T {
        look(&mut self.servers.borrow_mut()[server])
    }

    pub(super) fn with_master<T>(&self, change: impl FnOnce(&mut Server, u64) -> T) -> T {
        let master = &mut self.servers.borrow_mut()[self.master.get()];
        let changed = change(master, self.connections.get());
        master.wake_all();
        changed
    }

    pub(super) fn with_replicas(&self, mut change: impl FnMut(&mut Server, u64)) {
        for (place, server) in self.servers.borrow_mut().iter_mut().enumerate() {
            if place != self.master.get() {
                change(server, self.connections.get());
            }
        }
    }

    /// There is another master. These processes stay where they are.
    pub(super) fn add_master(&self, master: Server, stays: &[u64]) {
        let former = self.master.get();
        self.elsewhere.borrow_mut().extend(stays.iter().map(|process| (*process, former)));
        self.servers.borrow_mut().push(master);
        self.master.set(self.servers.borrow().len() - 1);
    }

    pub(super) fn send_all_to_master(&self) {
        self.elsewhere.borrow_mut().clear();
    }

    pub(super) fn join_all(&self) {
        self.cut_off.borrow_mut().clear();
    }

    /// The first server becomes the master.
    pub(super) fn change_master(&self, change: impl FnOnce(&mut Server)) {
        self.master.set(0);
        self.with(0, change);
    }
}
