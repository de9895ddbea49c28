//! What a node looks at now and then: whether it reads back what it appends, and whether all nodes have said how far they had
//! read before a new epoch.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use turted_core::cluster::table::Judgement;

use super::mistake::{Mistake, makes};
use super::node::Node;
use crate::engine::Engine;

/// Time between two looks.
const ROUND: Duration = Duration::from_millis(200);
/// A node whose own entries are older than this before it reads them takes no more.
const BEHIND_MAX: Duration = Duration::from_secs(1);
/// A reader that waits and has read no heartbeat of its own node for so long has a connection that is dead, unless what it reads
/// was written longer ago: it comes to its own heartbeats later.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// What was not read back in this time never will be.
const OWN_MAX: Duration = Duration::from_secs(60);

/// After so many looks it is shown which nodes there are. With each heartbeat that is read it is shown as well.
const SHOWN_EVERY: u32 = 5;

/// Looks, for ever.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for _ in 0..SHOWN_EVERY {
            rounds.tick().await;
            look(&node, Instant::now());
        }
        node.tell_nodes();
    }
}

fn look<E: Engine>(node: &Rc<Node<E>>, now: Instant) {
    let mut own = node.own.borrow_mut();
    let unread = own.values().filter(|underway| underway.read_at.is_none());
    let oldest = unread.filter_map(|underway| Some(now - underway.stands?.1)).max().unwrap_or_default();
    own.retain(|_, underway| !underway.is_settled || now - underway.since < OWN_MAX);
    drop(own);
    node.feed.hold_back(oldest > BEHIND_MAX);
    let heard = {
        let view = node.view.borrow();
        view.heard_own.max(view.behind)
    };
    if node.status.is_waiting() && now - heard > SILENCE_MAX {
        node.view.borrow_mut().heard_own = now;
        node.reader_stuck.notify_one();
        node.writer_stuck.notify_one();
    }
    judge(node);
    let attentive = node.attentive();
    node.view.borrow_mut().table.tidy(attentive);
}

/// Judges whether something is lost, by all that was written up to a heartbeat of this node. What a witness wrote later it may
/// not have read.
fn judge<E: Engine>(node: &Node<E>) {
    let (now, mut view) = (node.moment(), node.view.borrow_mut());
    let read = view.own.unwrap_or_default();
    let judgement = view.table.judge(read);
    if view.table.is_judgement_due(now) {
        node.status.is_waited_for();
    }
    drop(view);
    if let Some(Judgement::Lost(epoch)) = judgement
        && !makes(Mistake::IgnoresWitnesses)
    {
        node.tells_loss(epoch);
    }
}
