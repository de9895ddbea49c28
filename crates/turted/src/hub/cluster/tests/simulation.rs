//! A run: nodes, clients, backends, troubles, and a quiet time behind them in which everything has to come to its end.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};
use turted_core::cluster::entry::{self, Body};
use turted_core::cluster::head::Read;
use turted_core::cursor::Cursor;
use turted_core::push::PushLimits;

use super::super::mistake::Mistake;
use super::super::random;
use super::backend::{self, DISPATCHES_MAX, Pushed};
use super::client::Client;
use super::node::Node;
use super::{checker, troubles};
use crate::engine::memory::{Dice, Flaws, World};
use crate::hub::dispatch::log::Accepted;

/// How long something goes wrong.
pub(super) const TROUBLED: Duration = Duration::from_secs(20);
/// How long it takes at most until a loss is told. A witness that was killed is silent for 15 s of it.
const TOLD_MAX: Duration = Duration::from_secs(24);
/// How long the last pushes take.
const LAST: Duration = Duration::from_secs(5);
/// Time between two looks of clients.
const LOOK: Duration = Duration::from_millis(100);
/// Time between two pushes, at most, while something goes wrong and behind it.
const PUSHES: Duration = Duration::from_millis(400);
const SELDOM: Duration = Duration::from_secs(2);
/// How long nodes may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// All that takes part in a run.
pub(super) struct Simulation {
    pub(super) dice: Dice,
    pub(super) world: Rc<World>,
    /// Whether nothing goes wrong that could lose anything: then no client is told of a gap.
    pub(super) is_gentle: bool,
    pub(super) replicas: u32,
    /// Entries that a node keeps.
    pub(super) log: usize,
    /// How often in a thousand deliveries a worker is busy for a while.
    pub(super) busy_workers: u32,
    pub(super) nodes: RefCell<Vec<Option<Node>>>,
    pub(super) clients: RefCell<Vec<Client>>,
    pub(super) pushes: RefCell<Vec<Pushed>>,
    /// The epochs that reigned when two masters took entries at once.
    pub(super) split: RefCell<Vec<u64>>,
    pub(super) was_set_back: Cell<bool>,
    /// Whether a node has ended by itself.
    pub(super) has_ended: Cell<bool>,
    /// Processes that were killed and had something of a former master which nobody else has.
    pub(super) unheard: RefCell<HashSet<u64>>,
    /// What went wrong, for whoever looks at a fault.
    pub(super) troubles: RefCell<Vec<String>>,
    pub(super) began: Cell<Instant>,
}

/// Runs a seed, with a mistake perhaps. Returns what is wrong.
pub(super) fn simulate(seed: u64, mistake: Option<Mistake>) -> Result<(), String> {
    let (simulation, result) = run(seed, mistake);
    result.map_err(|fault| simulation.describe(&fault))
}

/// Runs a seed. Returns what has happened.
pub(super) fn simulate_and_tell(seed: u64) -> String {
    let (simulation, result) = run(seed, None);
    simulation.describe(&format!("{result:?}"))
}

fn run(seed: u64, mistake: Option<Mistake>) -> (Rc<Simulation>, Result<(), String>) {
    Mistake::make(mistake);
    random::seed(Some(seed.rotate_left(32)));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let result = LocalSet::new().block_on(&runtime, begin_and_end(seed, mistake));
    random::seed(None);
    Mistake::make(None);
    result
}

fn flaws(mistake: Option<Mistake>) -> Flaws {
    Flaws {
        leaves_former: mistake == Some(Mistake::LeavesFormer),
        stores_key_first: mistake == Some(Mistake::StoresKeyFirst),
        hides_process: mistake == Some(Mistake::IgnoresProcess),
    }
}

async fn begin_and_end(seed: u64, mistake: Option<Mistake>) -> (Rc<Simulation>, Result<(), String>) {
    let world = World::new(seed);
    world.has_flaws(flaws(mistake));
    spawn_local(Rc::clone(&world).run());
    let dice = Dice::new(!seed);
    let simulation = Rc::new(Simulation {
        is_gentle: dice.happens(250),
        replicas: u32::from(dice.happens(200)),
        log: if dice.happens(300) { 400 } else { 4_000 },
        busy_workers: if dice.happens(300) { 20 } else { 0 },
        world,
        nodes: RefCell::default(),
        clients: RefCell::new((0..dice.below(4) + 2).map(Client::new).collect()),
        pushes: RefCell::default(),
        split: RefCell::default(),
        was_set_back: Cell::new(false),
        has_ended: Cell::new(false),
        unheard: RefCell::default(),
        troubles: RefCell::default(),
        began: Cell::new(Instant::now()),
        dice,
    });
    let result = simulation.all().await;
    (simulation, result)
}

impl Simulation {
    async fn all(self: &Rc<Self>) -> Result<(), String> {
        for place in 0..3 + self.dice.below(3) {
            let node = Node::start(self, place);
            self.nodes.borrow_mut().push(Some(node));
        }
        let is_ready =
            |simulation: &Self| simulation.nodes.borrow().iter().flatten().all(Node::takes_clients);
        self.wait_until(START_MAX, is_ready).await.ok_or("the nodes do not start")?;
        self.look_after_clients();
        spawn_local(Rc::clone(self).look());
        self.began.set(Instant::now());
        let troubles = spawn_local(troubles::make(Rc::clone(self)));
        self.push_for(TROUBLED, PUSHES).await;
        troubles.abort();
        troubles::end(self);
        self.push_for(TOLD_MAX, SELDOM).await;
        self.wait_until(START_MAX, is_ready).await.ok_or("a node does not follow at the end")?;
        let last: Vec<_> = (0..5).map(|_| self.push(true)).collect();
        sleep(LAST).await;
        checker::check(self, &last)
    }

    async fn wait_until(&self, most: Duration, is_so: impl Fn(&Self) -> bool) -> Option<()> {
        let since = Instant::now();
        while !is_so(self) {
            if since.elapsed() > most {
                return None;
            }
            sleep(LOOK).await;
        }
        Some(())
    }

    async fn push_for(self: &Rc<Self>, time: Duration, pause: Duration) {
        let since = Instant::now();
        while since.elapsed() < time {
            self.push(self.dice.happens(500));
            // Now and then a burst.
            if self.dice.happens(900) {
                sleep(self.dice.time(pause)).await;
            }
        }
    }

    /// Lets a backend push something. Returns its number.
    pub(super) fn push(self: &Rc<Self>, has_key: bool) -> u64 {
        let count = 1 + self.dice.number() % DISPATCHES_MAX;
        let number = self.pushes.borrow().len() as u64;
        self.pushes.borrow_mut().push(Pushed {
            number,
            count,
            has_key,
            accepted: None,
            at_former: None,
            is_done: false,
        });
        spawn_local(backend::push(Rc::clone(self), number));
        number
    }

    /// Looks after the clients, for ever.
    async fn look(self: Rc<Self>) {
        loop {
            sleep(LOOK).await;
            self.look_after_clients();
            self.nodes.borrow().iter().flatten().for_each(Node::look);
        }
    }

    fn look_after_clients(&self) {
        let nodes = self.nodes.borrow();
        for client in self.clients.borrow_mut().iter_mut() {
            let node = client
                .at
                .and_then(|(place, process)| nodes[place].as_ref().filter(|node| node.process == process));
            let stays = node.is_some_and(|node| node.is_frozen() || !client.has_to_go(node));
            // Now and then one changes its node.
            if stays && !self.dice.happens(5) {
                continue;
            }
            client.leave(node);
            let ready: Vec<_> = (0..nodes.len())
                .filter(|place| nodes[*place].as_ref().is_some_and(Node::takes_clients))
                .collect();
            let is_there =
                |place: &&usize| nodes[**place].as_ref().map(|node| node.process) == client.waits_at();
            let drawn = ready.get(self.dice.below(ready.len().max(1)));
            let place = ready.iter().find(is_there).or(drawn);
            if let Some(place) = place
                && let Some(node) = &nodes[*place]
            {
                client.come(*place, node);
            }
        }
    }

    /// The worker of a node takes an entry.
    pub(super) fn deliver(&self, place: usize, accepted: &Accepted) {
        let nodes = self.nodes.borrow();
        let Some(node) = &nodes[place] else { return };
        for client in self.clients.borrow_mut().iter_mut() {
            if client.at == Some((place, node.process)) && !client.has_to_go(node) {
                client.take(accepted);
            }
        }
    }

    /// A node is killed. What it alone has read is gone with it.
    pub(super) fn has_killed(&self, killed: &Node) {
        self.has_ended.set(self.has_ended.get() || killed.has_ended());
        let epoch = killed.read().epoch;
        if self.world.log().iter().all(|(at, _)| at.epoch != epoch) {
            self.unheard.borrow_mut().insert(killed.process);
        }
    }

    /// Whether all nodes are there and have read the whole log.
    pub(super) fn all_have_read(&self) -> bool {
        let last = self.world.log().last().map(|(at, _)| *at);
        let has_read = |node: &Option<Node>| {
            node.as_ref().is_some_and(|node| node.takes_clients() && Some(node.read()) == last)
        };
        self.nodes.borrow().iter().all(has_read)
    }

    /// Notes something that goes wrong on purpose.
    pub(super) fn note(&self, trouble: String) {
        let at = self.began.get().elapsed();
        self.troubles.borrow_mut().push(format!("{:.3}: {trouble}", at.as_secs_f32()));
    }

    fn describe(&self, fault: &str) -> String {
        let nodes = self.nodes.borrow();
        let troubles = self.troubles.borrow().join("\n  ");
        let (count, is_gentle, replicas) = (nodes.len(), self.is_gentle, self.replicas);
        let nodes = nodes.iter().flatten().map(Node::describe).collect::<Vec<_>>().join("\n  ");
        let clients = self.clients.borrow();
        let clients = clients.iter().map(Client::describe).collect::<Vec<_>>().join("\n  ");
        format!(
            "{fault}\n  {count} nodes, gentle: {is_gentle}, replicas: {replicas}\n  {troubles}\n  {nodes}\n  {clients}\n  {}",
            self.log().join("\n  ")
        )
    }

    /// What stands in the log and is no dispatch.
    fn log(&self) -> Vec<String> {
        let told = |(at, bytes): (Cursor, Bytes)| {
            let Read::Ours(entry) = entry::decode(&bytes, PushLimits::default()) else { return None };
            let said = match entry.body {
                Body::Dispatch { .. } => return None,
                Body::Heartbeat(record) => format!("{:?}", record.progress),
                said => format!("{said:?}"),
            };
            Some(format!("{at} at {:?} by {:x}: {said}", entry.time, entry.author.process))
        };
        self.world.log().into_iter().filter_map(told).collect()
    }
}
