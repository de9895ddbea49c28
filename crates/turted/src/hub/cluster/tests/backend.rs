//! Pushes of backends: with a key they are repeated at any node until they are accepted, without one they are sent once.

use std::rc::Rc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use tokio::time::{Instant, sleep, timeout};
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;
use turted_core::record::push::AnswerForm;

use super::simulation::Simulation;
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Positions, Reach};
use crate::hub::dispatch::queue::PushedKey;

/// Dispatches of one push.
pub(super) const DISPATCHES_MAX: u64 = 3;
/// How long a backend waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long it waits before it repeats a push.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it repeats a push.
const REPEATS: Duration = Duration::from_secs(40);

/// A push.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pushed {
    /// Its dispatches have the numbers from `number * DISPATCHES_MAX` on.
    pub(super) number: u64,
    pub(super) count: u64,
    pub(super) has_key: bool,
    /// The position of its first dispatch, if it was accepted.
    pub(super) accepted: Option<Cursor>,
    /// The node that has accepted it, if that was at a former master alone, and another epoch had begun at the new one.
    pub(super) at_former: Option<u64>,
    /// Whether its backend knows what became of it.
    pub(super) is_done: bool,
}

impl Pushed {
    /// The numbers of its dispatches, each with its position if it was accepted.
    pub(super) fn dispatches(&self) -> impl Iterator<Item = (u64, Option<Cursor>)> + use<> {
        let Self { number, count, accepted, .. } = *self;
        let at = move |place| accepted.map(|at| Cursor { sequence: at.sequence + place, ..at });
        (0..count).map(move |place| (number * DISPATCHES_MAX + place, at(place)))
    }
}

/// Pushes something, and notes what became of it.
pub(super) async fn push(simulation: Rc<Simulation>, number: u64) {
    let since = Instant::now();
    let place = number as usize;
    let pushed = simulation.pushes.borrow()[place];
    while since.elapsed() < REPEATS {
        let accepted = attempt(&simulation, pushed).await;
        if accepted.is_some() || !pushed.has_key {
            let (accepted, process) = accepted.unzip();
            let pushed = &mut simulation.pushes.borrow_mut()[place];
            pushed.accepted = accepted;
            pushed.at_former = process.filter(|process| simulation.world.is_left_alone(*process));
            break;
        }
        sleep(simulation.dice.time(PAUSE)).await;
    }
    simulation.pushes.borrow_mut()[place].is_done = true;
}

/// Sends it to a node. Returns its position if it was accepted, now or before, and the process of the node.
async fn attempt(simulation: &Simulation, pushed: Pushed) -> Option<(Cursor, u64)> {
    let dispatch = |(event, _)| Dispatch {
        event: Name::new("e").unwrap(),
        payload: to_raw_value(&event).unwrap(),
        targets: Targets::broadcast(),
    };
    let mut dispatches: Vec<_> = pushed.dispatches().map(dispatch).collect();
    let key = PushedKey {
        owner: "push".into(),
        key: pushed.number.to_le_bytes().into(),
        body: [pushed.number as u8; 32],
        answer: AnswerForm::Plain,
    };
    let (submitted, process) = {
        let nodes = simulation.nodes.borrow();
        let ready: Vec<_> = nodes.iter().flatten().filter(|node| node.is_ready()).collect();
        let node = ready.get(simulation.dice.below(ready.len().max(1)))?;
        let key = Some(key).filter(|_| pushed.has_key);
        (node.dispatcher.submit(&mut dispatches, Reach::Uncounted, key), node.process)
    };
    match timeout(ANSWER_MAX, submitted.ok()?.settled()).await.ok()? {
        Ok(positions) => Some((Positions::first(&positions), process)),
        Err(DispatchRefusal::Repeated { first, is_same }) => {
            assert!(is_same, "the key of push {} has another body", pushed.number);
            Some((first, process))
        }
        Err(_) => None,
    }
}
