//! What goes wrong in a run, by its seed.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::disasters;
use super::node::Node;
use super::simulation::Simulation;
use crate::engine::memory::{Chances, Loss};

/// Time between two troubles, at most.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a trouble lasts, at most. A node is silent for longer than its lease then.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// The same where nothing may be lost.
pub(super) const SHORT: Duration = Duration::from_secs(4);
/// Commands that a server may lose.
const TAIL: usize = 12;

/// Makes troubles, for ever.
pub(super) async fn make(simulation: Rc<Simulation>) {
    let dice = &simulation.dice;
    let chances = if dice.happens(500) {
        let per_mille = |most| dice.below(most) as u32;
        Chances {
            before: per_mille(10),
            after: per_mille(10),
            late: per_mille(15),
            silence: per_mille(4),
            slow: per_mille(15),
        }
    } else {
        Chances::default()
    };
    simulation.note(format!("{chances:?}"));
    simulation.world.has_chances(chances);
    loop {
        sleep(dice.time(PAUSE)).await;
        match simulation.is_gentle {
            true => gentle(&simulation).await,
            false => match dice.below(10) {
                0..4 => of_nodes(&simulation).await,
                4..8 => of_servers(&simulation).await,
                8 => disasters::refill(&simulation, chances == Chances::default()).await,
                _ => disasters::strike(&simulation).await,
            },
        }
    }
}

/// What loses nothing. A node that one fault after the other keeps from the log would count as silent.
async fn gentle(simulation: &Rc<Simulation>) {
    let is_spared = simulation.nodes.borrow().iter().flatten().any(|node| node.unwell() > SHORT * 2);
    if simulation.is_gentle && is_spared {
        return;
    }
    let (dice, world) = (&simulation.dice, &simulation.world);
    let time = dice.time(SHORT);
    match dice.below(6) {
        0 => {
            simulation.note(format!("the server is started again after {time:?}"));
            world.restart(Loss::Nothing, time);
        }
        1 => {
            simulation.note("the replica is promoted, and has everything".to_owned());
            world.promote(&[]);
            world.demote(dice.happens(500));
        }
        2 => {
            simulation.note(format!("the server is stopped for {time:?}"));
            world.stop(time);
        }
        3 => {
            simulation.note(format!("the server refuses for {time:?}"));
            world.refuse(Some("OOM command not allowed"));
            sleep(time).await;
            world.refuse(None);
        }
        4 => {
            simulation.note("the former master is promoted again".to_owned());
            world.promote_former();
            world.demote(dice.happens(500));
        }
        _ => freeze(simulation, time).await,
    }
}

async fn of_servers(simulation: &Rc<Simulation>) {
    let (dice, world) = (&simulation.dice, &simulation.world);
    let tail = Loss::Tail(1 + dice.below(TAIL));
    let losses = [Loss::Nothing, tail, tail, Loss::Everything, Loss::Log, Loss::Reign];
    let (loss, time) = (losses[dice.below(losses.len())], dice.time(SHORT));
    match dice.below(9) {
        0 | 1 => {
            simulation.note(format!("the server is started again after {time:?} and loses {loss:?}"));
            world.restart(loss, time);
        }
        // Nobody notices that the end of the log is lost, and given again, unless whoever appends there has read it.
        2 if matches!(loss, Loss::Tail(_)) && !simulation.all_have_read() => {}
        2 => {
            simulation.note(format!("the server loses {loss:?} and goes on"));
            world.lose(loss);
        }
        3 | 4 => promote(simulation, time).await,
        5 => {
            let entries = dice.below(8);
            simulation.note(format!("all but {entries} entries are trimmed"));
            world.trim_to(entries);
        }
        6 => {
            simulation.note("the clock is set back".to_owned());
            simulation.was_set_back.set(true);
            world.set_back(dice.time(LONG * 10));
        }
        7 => {
            simulation.note("the former master is promoted again".to_owned());
            world.promote_former();
            world.demote(dice.happens(500));
        }
        _ => gentle(simulation).await,
    }
}

/// A replica that lags is promoted. Some nodes stay at the former master for a while.
async fn promote(simulation: &Rc<Simulation>, time: Duration) {
    let (dice, world) = (&simulation.dice, &simulation.world);
    let is_lagging = dice.happens(600);
    if is_lagging {
        world.pause_replica(true);
        sleep(dice.time(SHORT)).await;
    }
    let stays: Vec<_> = {
        let nodes = simulation.nodes.borrow();
        nodes.iter().flatten().map(|node| node.process).filter(|_| dice.happens(400)).collect()
    };
    simulation.note(format!("a replica is promoted (lags: {is_lagging}); {} stay for {time:?}", stays.len()));
    if !stays.is_empty() {
        simulation.split.borrow_mut().extend(world.log().last().map(|(at, _)| at.epoch));
    }
    world.promote(&stays);
    sleep(time / 2).await;
    if dice.happens(300) {
        simulation.note("the former master is started again".to_owned());
        world.restart_former();
    }
    sleep(time / 2).await;
    world.demote(dice.happens(500));
    simulation.note("the former master is demoted".to_owned());
}

async fn of_nodes(simulation: &Rc<Simulation>) {
    let dice = &simulation.dice;
    let time = dice.time(LONG);
    match dice.below(3) {
        0 => kill(simulation, time).await,
        1 => freeze(simulation, time).await,
        _ => {
            let process = {
                let nodes = simulation.nodes.borrow();
                nodes[dice.below(nodes.len())].as_ref().map(|node| node.process)
            };
            let Some(process) = process else { return };
            simulation.note(format!("node {process:x} is cut off for {time:?}"));
            simulation.world.cut_off(process, true);
            sleep(time / 2).await;
            simulation.world.cut_off(process, false);
        }
    }
}

async fn kill(simulation: &Rc<Simulation>, time: Duration) {
    let place = simulation.dice.below(simulation.nodes.borrow().len());
    end_node(simulation, place);
    sleep(time / 4).await;
    start(simulation, place);
}

pub(super) fn end_node(simulation: &Simulation, place: usize) {
    let killed = simulation.nodes.borrow_mut()[place].take();
    if let Some(killed) = killed {
        simulation.note(format!("node {:x} is killed", killed.process));
        simulation.has_killed(&killed);
    }
}

pub(super) fn start(simulation: &Rc<Simulation>, place: usize) {
    let node = Node::start(simulation, place);
    simulation.note(format!("node {:x} starts", node.process));
    simulation.nodes.borrow_mut()[place] = Some(node);
}

async fn freeze(simulation: &Rc<Simulation>, time: Duration) {
    let place = simulation.dice.below(simulation.nodes.borrow().len());
    set_frozen(simulation, place, true);
    sleep(time).await;
    set_frozen(simulation, place, false);
}

pub(super) fn set_frozen(simulation: &Simulation, place: usize, is_frozen: bool) {
    if let Some(node) = &simulation.nodes.borrow()[place] {
        simulation.note(format!("node {:x} is frozen: {is_frozen}", node.process));
        node.freeze(is_frozen);
    }
}

/// Ends all troubles.
pub(super) fn end(simulation: &Rc<Simulation>) {
    let world = &simulation.world;
    world.has_chances(Chances::default());
    world.heal();
    simulation.note("the troubles end".to_owned());
    let places = simulation.nodes.borrow().len();
    for place in 0..places {
        let is_gone = simulation.nodes.borrow()[place].is_none();
        if is_gone {
            start(simulation, place);
        }
    }
    simulation.nodes.borrow().iter().flatten().for_each(|node| node.freeze(false));
}
