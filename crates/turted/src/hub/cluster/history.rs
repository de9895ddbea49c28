//! The history of channels: what is deleted for all nodes, and what a node that starts takes over from another.
//!
//! The log has the events of minutes, history those of hours. A node that starts asks one of the others for what it has, a page
//! after the other, and another one if that is silent. Until it is through, it says of no history that it is complete.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use turted_core::cluster::entry::Body;
use turted_core::cluster::head::Author;
use turted_core::cluster::history::{HistoryAsk, HistoryPage, HistoryPlace};
use turted_core::cluster::message::{BODY_BYTES_MAX, Told};

use super::handle::Cluster;
use super::node::{Announced, Node};
use super::questions::Whom;
use crate::engine::Engine;
use crate::hub::dispatch::history::Fetched;
use crate::hub::dispatch::history::deletion::Deletion;

/// How often each of the other nodes is asked.
const ROUNDS: usize = 3;
/// Time between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// How often a node is asked for one page: a message may be lost.
const PAGE_TRIES: usize = 2;
/// Bytes that are taken over at most: `limits.history_bytes` of a node that has twice as many as usual.
const BYTES_MAX: usize = 2 * turted_core::limits::HISTORY_BYTES_MAX;

/// Why a node has no history for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {
    /// It asks others itself.
    IsFilling,
    /// It does not answer, or what it says cannot be used.
    Silent,
}

/// Records deletions in the log, for ever.
pub(super) async fn record<E: Engine>(node: Rc<Node<E>>) {
    let mut deletions = node.feed.deletions();
    while let Some(Deletion { channel, numbers, recorded }) = deletions.recv().await {
        let (from, to) = numbers.into_inner();
        node.announce(Announced { body: Body::Deleted { channel, from, to }, recorded: Some(recorded) });
    }
}

/// Another node asks for a page.
pub(super) fn answer<E: Engine>(node: &Node<E>, from: Author, (question, ask): (u64, HistoryAsk)) {
    let body = node.feed.history_page(ask).map(|page| page.encode()).unwrap_or_default();
    if body.len() <= BODY_BYTES_MAX {
        node.tell(Some(from.node), Told::Answer { question, body });
    }
}

/// Takes the history over from another node, if one has it.
pub(super) async fn fill<E: Engine>(node: Rc<Node<E>>) {
    let cluster = node.handle();
    for round in 0..ROUNDS {
        let Some(has_from) = node.feed.fills_history_before() else { return };
        let mut others = node.status.nodes();
        others.retain(|other| other.process != node.settings.process);
        // One that ends soon comes last.
        others.sort_by_key(|other| other.is_draining);
        let mut may_answer_later = false;
        for other in others {
            let fetched = fetch(&cluster, other.number, has_from).await;
            may_answer_later |= !matches!(fetched, Err(Nothing::IsFilling));
            if fetched.is_ok_and(|fetched| node.feed.fill_history(fetched)) {
                return;
            }
        }
        // Nodes that all ask each other have nothing to wait for.
        if !may_answer_later || round + 1 == ROUNDS {
            break;
        }
        sleep(ROUND_PAUSE).await;
    }
    node.feed.end_filling();
}

/// All pages of one node.
async fn fetch(cluster: &Cluster, number: u16, has_from: u64) -> Result<Fetched, Nothing> {
    let mut place = HistoryPlace::default();
    let mut fetched: Option<Fetched> = None;
    loop {
        let page = ask(cluster, number, HistoryAsk { from: place, has_from }).await.ok_or(Nothing::Silent)?;
        if page.is_filling {
            return Err(Nothing::IsFilling);
        }
        let next = page.next;
        match &mut fetched {
            None => fetched = Some(Fetched::new(page)),
            Some(fetched) => fetched.add(page),
        }
        if fetched.as_ref().is_some_and(|fetched| fetched.is_too_much(BYTES_MAX)) {
            return Err(Nothing::Silent);
        }
        match next {
            None => return fetched.ok_or(Nothing::Silent),
            Some(next) if next > place => place = next,
            // A node that goes back would never end.
            Some(_) => return Err(Nothing::Silent),
        }
    }
}

/// One page of one node.
async fn ask(cluster: &Cluster, number: u16, ask: HistoryAsk) -> Option<HistoryPage> {
    for _ in 0..PAGE_TRIES {
        let told = |question| Told::AskHistory { question, ask };
        let gathered = cluster.gather_by(Whom::Node(number), told).await.ok()?;
        if let Some((_, body)) = gathered.answers.first() {
            return HistoryPage::decode(body).ok();
        }
    }
    None
}
