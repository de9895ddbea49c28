//! What goes wrong with all nodes at once: then one of them alone knows what the server has lost, or none does.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::node::Node;
use super::simulation::{Simulation, TROUBLED};
use super::troubles::{LONG, SHORT, end_node, set_frozen, start};
use crate::engine::memory::Loss;

/// Time between the falls of two nodes, at most.
const FALLS: Duration = Duration::from_millis(500);
/// Commands that a server loses, at most: about what was pushed between two falls.
const TAIL: usize = 6;
/// How long what is under way takes to come to its end.
const SETTLED: Duration = Duration::from_millis(1_100);
/// How long a node needs to append something and to read it.
const READ: Duration = Duration::from_millis(100);
/// A node that is frozen for so long appends a heartbeat as soon as it wakes.
const HEARTBEATS: Duration = Duration::from_secs(6);

/// What becomes of a node.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed,
    Frozen,
    CutOff(u64),
    Spared,
}

/// One node after the other falls, while something is pushed. The server loses what some of them have read. Then all come back.
pub(super) async fn strike(simulation: &Rc<Simulation>) {
    let (dice, world) = (&simulation.dice, &simulation.world);
    let is_promotion = dice.happens(300);
    if is_promotion {
        world.pause_replica(true);
    }
    let places = simulation.nodes.borrow().len();
    let first = dice.below(places);
    let mut fates = Vec::new();
    for place in (0..places).map(|step| (first + step) % places) {
        fates.push((place, fall(simulation, place)));
        for _ in 0..dice.below(3) {
            simulation.push(dice.happens(300));
        }
        sleep(dice.time(FALLS)).await;
    }
    let down = dice.time(SHORT / 4);
    if is_promotion {
        simulation.note("a replica is promoted that lags".to_owned());
        world.promote(&[]);
        world.demote(true);
    } else {
        let tail = Loss::Tail(1 + dice.below(TAIL));
        let loss = [Loss::Nothing, tail, tail, tail, Loss::Everything, Loss::Log][dice.below(6)];
        simulation.note(format!("the server is started again after {down:?} and loses {loss:?}"));
        world.restart(loss, down);
    }
    sleep(down).await;
    for (place, _) in fates.iter().filter(|(_, fate)| matches!(fate, Fate::Killed)) {
        start(simulation, *place);
    }
    sleep(dice.time(LONG / 2)).await;
    for (place, fate) in fates {
        match fate {
            Fate::Frozen => set_frozen(simulation, place, false),
            Fate::CutOff(process) => world.cut_off(process, false),
            Fate::Killed | Fate::Spared => {}
        }
    }
}

fn fall(simulation: &Rc<Simulation>, place: usize) -> Fate {
    let process = simulation.nodes.borrow()[place].as_ref().map(|node| node.process);
    let fate = match (simulation.dice.below(10), process) {
        (0..5, _) | (_, None) => Fate::Killed,
        (5..8, _) => Fate::Frozen,
        (8, Some(process)) => Fate::CutOff(process),
        _ => Fate::Spared,
    };
    match fate {
        Fate::Killed => end_node(simulation, place),
        Fate::Frozen => set_frozen(simulation, place, true),
        Fate::CutOff(process) => {
            simulation.note(format!("node {process:x} is cut off"));
            simulation.world.cut_off(process, true);
        }
        Fate::Spared => {}
    }
    fate
}

/// A server that stays the same process loses what one node alone has read, and the others append something else there. Only the
/// entry itself tells this node what has happened, when its writer connects anew. A node whose reader goes on before would not
/// notice, so nothing else may go wrong meanwhile.
pub(super) async fn refill(simulation: &Rc<Simulation>, is_quiet: bool) {
    let (dice, world) = (&simulation.dice, &simulation.world);
    let places = simulation.nodes.borrow().len();
    let reader = dice.below(places);
    let is_ready = simulation.nodes.borrow().iter().flatten().all(Node::takes_clients);
    let has_time = simulation.began.get().elapsed() + SETTLED * 2 + HEARTBEATS < TROUBLED;
    if !is_quiet || !is_ready || !has_time {
        return;
    }
    let set_others = |is_frozen| {
        let others = (0..places).filter(|place| *place != reader);
        others.for_each(|place| set_frozen(simulation, place, is_frozen));
    };
    set_others(true);
    sleep(SETTLED).await;
    world.pause_replica(true);
    for _ in 0..=dice.below(3) {
        simulation.push(false);
    }
    sleep(READ).await;
    set_frozen(simulation, reader, true);
    simulation.note("the server loses what this node alone has read, and goes on".to_owned());
    world.go_back_to_replica();
    set_others(false);
    sleep(HEARTBEATS).await;
    world.end_connections();
    set_frozen(simulation, reader, false);
    // What it has read is compared with what is there now: that is not trimmed before.
    sleep(SETTLED).await;
}
