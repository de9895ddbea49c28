//! How many connections a dispatch reaches on all nodes: the node that accepted it asks with the entry, the others send what
//! they count.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use turted_core::cluster::message::{COUNTS_MAX, Told};

use super::node::Node;
use crate::engine::Engine;
use crate::hub::dispatch::feed::Own;
use crate::hub::dispatch::receipt::Counting;

/// How long other nodes are waited for.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Time between two looks at who has not counted.
const LOOK: Duration = Duration::from_millis(100);
/// How long counts are gathered before they are sent.
pub(super) const GATHER: Duration = Duration::from_millis(5);

/// A dispatch whose count is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Where counts go. The count is complete when it is dropped.
    pub(super) reached: Counting,
    /// Processes that have not answered.
    pub(super) missing: Vec<u64>,
    pub(super) since: Instant,
}

/// What waits for counts, and counts that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) asked: BTreeMap<u64, Asked>,
    /// By the node that asked: tags and counts.
    pub(super) counted: BTreeMap<u16, Vec<(u64, u32)>>,
    /// Processes that did not answer in time: not waited for until they are heard again.
    pub(super) silent: BTreeMap<u64, Instant>,
}

/// Sends what is counted for other nodes, and gives up those that do not count, for ever.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A node that waits for nobody is not woken to look.
        let is_asking = !node.counts.borrow().asked.is_empty();
        tokio::select! {
            biased;
            _ = looks.tick(), if is_asking => node.counts.borrow_mut().give_up(Instant::now()),
            () = node.counted.notified() => {
                sleep(GATHER).await;
                send(&node).await;
            }
        }
    }
}

async fn send<E: Engine>(node: &Node<E>) {
    let counted = std::mem::take(&mut node.counts.borrow_mut().counted);
    for (to, counted) in counted {
        for counted in counted.chunks(COUNTS_MAX) {
            node.tell(Some(to), Told::Counts(counted.to_vec()));
        }
    }
}

impl Counts {
    /// Waits no longer for nodes that have not counted in time.
    fn give_up(&mut self, now: Instant) {
        let Self { asked, silent, .. } = self;
        asked.retain(|_, asked| {
            let is_waiting = now - asked.since < ANSWER_MAX;
            if !is_waiting {
                asked.reached.are_silent(asked.missing.len());
                silent.extend(asked.missing.iter().map(|process| (*process, now)));
            }
            is_waiting
        });
    }
}

/// A dispatch of this node is handed over: other nodes count as well.
pub(super) fn expect<E: Engine>(node: &Rc<Node<E>>, tag: u64, own: &Own) {
    let Some(reached) = &own.reached else { return };
    let mut counts = node.counts.borrow_mut();
    let (view, attentive) = (node.view.borrow(), node.attentive());
    let others = view.table.alive(attentive).map(|(process, _)| process);
    let others = others.filter(|process| *process != node.settings.process);
    let (silent, missing): (Vec<_>, Vec<_>) = others.partition(|process| counts.silent.contains_key(process));
    reached.are_silent(silent.len());
    if !missing.is_empty() {
        counts.asked.insert(tag, Asked { reached: reached.clone(), missing, since: Instant::now() });
        node.counted.notify_one();
    }
}

/// A dispatch of another node that asks for a count: where the workers report theirs.
pub(super) fn count<E: Engine>(node: &Rc<Node<E>>, (origin, tag): (u16, u64)) -> mpsc::Sender<usize> {
    let (reached, sender) = node.feed.counting();
    let node = Rc::clone(node);
    tokio::task::spawn_local(async move {
        let count = u32::try_from(reached.count().await).unwrap_or(u32::MAX);
        let mut counts = node.counts.borrow_mut();
        counts.counted.entry(origin).or_default().push((tag, count));
        drop(counts);
        node.counted.notify_one();
    });
    sender
}

/// Another node has counted.
pub(super) fn counted<E: Engine>(node: &Node<E>, process: u64, counted: Vec<(u64, u32)>) {
    let mut counts = node.counts.borrow_mut();
    counts.silent.remove(&process);
    for (tag, count) in counted {
        let Some(asked) = counts.asked.get_mut(&tag) else { continue };
        let place = asked.missing.iter().position(|missing| *missing == process);
        if let Some(place) = place {
            asked.missing.swap_remove(place);
            asked.reached.counted(count as usize);
        }
        if asked.missing.is_empty() {
            counts.asked.remove(&tag);
        }
    }
}
