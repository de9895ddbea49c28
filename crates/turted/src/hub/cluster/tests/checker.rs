//! What every client must have seen.

use std::collections::{HashMap, HashSet};

use turted_core::cursor::Cursor;

use super::backend::{DISPATCHES_MAX, Pushed};
use super::client::{Client, Seen};
use super::node::Node;
use super::simulation::Simulation;

/// Looks whether everybody has seen what there was to see.
pub(super) fn check(simulation: &Simulation, last: &[u64]) -> Result<(), String> {
    if simulation.has_ended.get() || simulation.nodes.borrow().iter().flatten().any(Node::has_ended) {
        return Err("a node has ended by itself".to_owned());
    }
    let (clients, pushes) = (simulation.clients.borrow(), simulation.pushes.borrow());
    for (name, client) in clients.iter().enumerate() {
        let named = |fault: String| format!("client {name}: {fault}");
        hears_the_last(client, &pushes, last).map_err(named)?;
        positions_grow(client).map_err(named)?;
        has_no_gap_without_loss(simulation, client).map_err(named)?;
        misses_nothing(simulation, client).map_err(named)?;
        sees_nothing_twice(simulation, client).map_err(named)?;
    }
    positions_are_given_once(&clients)
}

fn position(cursor: Cursor) -> (u64, u64) {
    (cursor.epoch, cursor.sequence)
}

/// After the troubles everybody hears everything.
fn hears_the_last(client: &Client, pushes: &[Pushed], last: &[u64]) -> Result<(), String> {
    let seen: HashSet<_> = events(client).map(|(_, event)| event).collect();
    for number in last {
        let pushed = pushes[*number as usize];
        if pushed.accepted.is_none() {
            return Err(format!("the last push {number} is not accepted"));
        }
        if let Some((event, at)) = pushed.dispatches().find(|(event, _)| !seen.contains(event)) {
            return Err(format!("it does not hear the last push {number}: event {event} at {at:?}"));
        }
    }
    Ok(())
}

fn events(client: &Client) -> impl Iterator<Item = (Cursor, u64)> {
    client.seen.iter().filter_map(|seen| match seen {
        Seen::Event(at, event) => Some((*at, *event)),
        Seen::Gap(_) => None,
    })
}

/// All see one order: positions grow, and each has one event. Behind a gap a client begins anew: where the server has lost the
/// end of the log and goes on, that may be before what it has seen.
fn positions_grow(client: &Client) -> Result<(), String> {
    let mut before = None;
    for seen in &client.seen {
        let Seen::Event(at, event) = *seen else {
            before = None;
            continue;
        };
        if before.is_some_and(|before| position(before) >= position(at)) {
            return Err(format!("event {event} at {at} comes behind {before:?}"));
        }
        before = Some(at);
    }
    Ok(())
}

/// A failover that loses nothing is noticed by no client.
fn has_no_gap_without_loss(simulation: &Simulation, client: &Client) -> Result<(), String> {
    let gap = client.seen.iter().find(|seen| matches!(seen, Seen::Gap(_)));
    match gap.filter(|_| simulation.is_gentle) {
        Some(gap) => Err(format!("it is told of {gap:?}, though nothing was lost")),
        None => Ok(()),
    }
}

/// What was accepted is seen, or a gap is told that reaches so far. What a node alone has accepted at a former master, and is
/// killed there, nobody can tell others. Where the clock was set back and everything was lost, the epoch that reigns at the end
/// may be lower than one of before: then a later gap counts, though its position is lower.
fn misses_nothing(simulation: &Simulation, client: &Client) -> Result<(), String> {
    let (pushes, unheard) = (simulation.pushes.borrow(), simulation.unheard.borrow());
    let seen: HashMap<_, _> = events(client).map(|(at, event)| (event, at)).collect();
    let gaps = client.seen.iter().filter_map(|seen| match seen {
        Seen::Gap(at) => Some(position(*at)),
        Seen::Event(..) => None,
    });
    let told = gaps.max();
    let last = simulation.world.log().last().map_or(0, |(at, _)| at.epoch);
    // A gap of a lower epoch, behind everything of this epoch.
    let is_told_below = |epoch| {
        let mut behind = client.seen.iter().rev().take_while(|seen| seen.at().epoch < epoch);
        behind.any(|seen| matches!(seen, Seen::Gap(_)))
    };
    let is_below = |at: Cursor| simulation.was_set_back.get() && at.epoch > last && is_told_below(at.epoch);
    let is_excused = |pushed: &&Pushed| {
        pushed.at_former.is_some_and(|process| unheard.contains(&process))
            || pushed.accepted.is_some_and(is_below)
    };
    for (event, at) in pushes.iter().filter(|pushed| !is_excused(pushed)).flat_map(Pushed::dispatches) {
        let Some(at) = at else { continue };
        match seen.get(&event) {
            None if told.is_none_or(|told| told < position(at)) => {
                return Err(format!(
                    "event {event} was accepted at {at} and is missing; gaps up to {told:?}"
                ));
            }
            Some(seen) if *seen != at && told.is_none() => {
                return Err(format!("event {event} was accepted at {at} and seen at {seen}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing comes twice. Behind a gap something may: a push that is repeated with its key, and where there were two masters what a
/// client has seen that went from a node at one of them to a node at the other, and back.
fn sees_nothing_twice(simulation: &Simulation, client: &Client) -> Result<(), String> {
    let (pushes, split) = (simulation.pushes.borrow(), simulation.split.borrow());
    let mut first: HashMap<u64, usize> = HashMap::new();
    for (place, seen) in client.seen.iter().enumerate() {
        let Seen::Event(at, event) = seen else { continue };
        let Some(before) = first.insert(*event, place) else { continue };
        let has_key = pushes[(event / DISPATCHES_MAX) as usize].has_key;
        let is_told = client.seen[before..].iter().any(|seen| matches!(seen, Seen::Gap(_)));
        let former = client.seen[before];
        if !(is_told && (has_key || former == *seen && split.contains(&at.epoch))) {
            return Err(format!("event {event} comes twice, at {at} behind {former:?} (key: {has_key})"));
        }
    }
    Ok(())
}

/// No two clients see different events at one position, unless one of them is told of a gap behind it.
fn positions_are_given_once(clients: &[Client]) -> Result<(), String> {
    let mut given: HashMap<(u64, u64), (u64, bool)> = HashMap::new();
    for client in clients {
        let mut is_told = false;
        for seen in client.seen.iter().rev() {
            let Seen::Event(at, event) = seen else {
                is_told = true;
                continue;
            };
            let (other, is_other_told) = *given.entry(position(*at)).or_insert((*event, is_told));
            if other != *event && !is_told && !is_other_told {
                return Err(format!("position {at} has event {event} and event {other}"));
            }
        }
    }
    Ok(())
}
