//! Which questions to other nodes are under way, which of theirs wait here, and who hears whom they block.
//!
//! Each question is given up after a second, because a message may be lost. A node that did not answer is not waited for
//! again until it is heard.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use turted_core::cluster::head::Author;
use turted_core::cluster::message::Guesses;

use super::status::NodeSeen;

/// Questions of this node that wait for answers: one for each connection of operators, and as many actions.
const UNDERWAY_MAX: usize = 64;
/// Questions of other nodes that wait here.
const ASKED_MAX: usize = 64;

type Blocks = Box<dyn Fn(Guesses, IpAddr, Duration) + Send + Sync>;

/// The questions of this node, and those that it is asked.
#[derive(Default)]
pub(crate) struct Questions {
    /// Held for a look or a change alone.
    state: Mutex<State>,
    blocks: OnceLock<Blocks>,
}

#[derive(Default)]
struct State {
    /// By their numbers.
    underway: HashMap<u64, Underway>,
    /// Processes that did not answer, and when.
    silent: HashMap<u64, Instant>,
    /// Where questions of other nodes are answered.
    answering: Option<mpsc::Sender<Asked>>,
}

/// A question that waits for answers.
pub(super) struct Underway {
    /// Processes that have not answered.
    pub(super) missing: Vec<u64>,
    /// It has room for each of them once.
    pub(super) answers: mpsc::Sender<(u16, Vec<u8>)>,
}

/// A question of another node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) body: Vec<u8>,
    /// Where its answer goes. It may be dropped: then this node is silent.
    pub(crate) answer: oneshot::Sender<Vec<u8>>,
}

/// Which nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// All others.
    Others,
    /// The one with this number.
    Node(u16),
}

/// What came of a question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gathered {
    /// By the numbers of the nodes.
    pub(crate) answers: Vec<(u16, Vec<u8>)>,
    /// The numbers of those that did not answer in time.
    pub(crate) silent: Vec<u16>,
}

/// As many questions are under way as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl fmt::Debug for Questions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Questions").finish_non_exhaustive()
    }
}

impl Questions {
    /// The questions of other nodes from now on.
    pub(crate) fn asked(&self) -> mpsc::Receiver<Asked> {
        let (sender, receiver) = mpsc::channel(ASKED_MAX);
        self.lock().answering = Some(sender);
        receiver
    }

    /// Nothing is answered any more.
    pub(super) fn end(&self) {
        self.lock().answering = None;
    }

    /// Says who blocks addresses that another node blocks.
    pub(crate) fn block_by(&self, block: impl Fn(Guesses, IpAddr, Duration) + Send + Sync + 'static) {
        let is_first = self.blocks.set(Box::new(block)).is_ok();
        debug_assert!(is_first, "a node has one server");
    }

    /// Another node blocks an address.
    pub(super) fn block(&self, list: Guesses, address: IpAddr, left: Duration) {
        if let Some(block) = self.blocks.get() {
            block(list, address, left);
        }
    }

    /// Another node asks something. `None` if nobody answers here, or too many questions wait.
    pub(super) fn ask(&self, body: Vec<u8>) -> Option<oneshot::Receiver<Vec<u8>>> {
        let answering = self.lock().answering.clone()?;
        let (answer, answered) = oneshot::channel();
        answering.try_send(Asked { body, answer }).ok().map(|()| answered)
    }

    /// Another node has answered.
    pub(super) fn answered(&self, from: Author, question: u64, body: Vec<u8>) {
        let mut state = self.lock();
        state.silent.remove(&from.process);
        let Some(underway) = state.underway.get_mut(&question) else { return };
        if let Some(place) = underway.missing.iter().position(|process| *process == from.process) {
            underway.missing.swap_remove(place);
            // Whoever asked may have stopped waiting.
            let _ = underway.answers.try_send((from.node, body));
        }
        if underway.missing.is_empty() {
            state.underway.remove(&question);
        }
    }

    /// Which of these nodes are not waited for.
    pub(super) fn split_silent(&self, nodes: Vec<NodeSeen>) -> (Vec<NodeSeen>, Vec<NodeSeen>) {
        let mut state = self.lock();
        let known: Vec<_> = nodes.iter().map(|node| node.process).collect();
        state.silent.retain(|process, _| known.contains(process));
        let is_silent =
            |node: &NodeSeen| state.silent.get(&node.process).is_some_and(|since| node.heard <= *since);
        nodes.into_iter().partition(is_silent)
    }

    pub(super) fn begin(&self, question: u64, underway: Underway) -> Result<Begun<'_>, TooMany> {
        let mut state = self.lock();
        if state.underway.len() >= UNDERWAY_MAX {
            return Err(TooMany);
        }
        state.underway.insert(question, underway);
        Ok(Begun { questions: self, question })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is under way until this is dropped.
pub(super) struct Begun<'a> {
    questions: &'a Questions,
    question: u64,
}

impl Begun<'_> {
    /// The processes that have not answered are silent from now on.
    pub(super) fn give_up(&self) {
        let mut state = self.questions.lock();
        let missing = state.underway.remove(&self.question).map(|underway| underway.missing);
        let now = Instant::now();
        state.silent.extend(missing.into_iter().flatten().map(|process| (process, now)));
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.questions.lock().underway.remove(&self.question);
    }
}
