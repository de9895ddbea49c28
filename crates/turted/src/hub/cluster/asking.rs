//! How nodes ask each other, and answer. The questions themselves are text that this module does not read.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout_at;
use turted_core::cluster::head::Author;
use turted_core::cluster::message::{BODY_BYTES_MAX, Message, Told};

use super::handle::Cluster;
use super::job::Wanted;
use super::node::Node;
use super::questions::{Gathered, TooMany, Underway, Whom};
use super::random;
use super::status::NodeSeen;
use crate::engine::Engine;

/// How long other nodes are waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Cluster {
    /// Tells other nodes something, if the engine is there. It may be lost.
    pub(crate) fn tell(&self, to: Option<u16>, told: Told) {
        let from = Author { node: self.number(), process: self.process() };
        let message = Message { from, told }.encode();
        drop(self.begin(Wanted::Tell { to, message }, ANSWER_MAX));
    }

    /// Asks other nodes, and waits for their answers for a second.
    ///
    /// # Errors
    /// Too many questions are under way.
    pub(crate) async fn gather(&self, whom: Whom, body: Vec<u8>) -> Result<Gathered, TooMany> {
        self.gather_by(whom, |question| Told::Ask { question, body }).await
    }

    /// The same with a question of another kind.
    pub(super) async fn gather_by(
        &self,
        whom: Whom,
        ask: impl FnOnce(u64) -> Told,
    ) -> Result<Gathered, TooMany> {
        let (questions, status) = (&self.status().questions, self.status());
        let is_asked = |node: &NodeSeen| match whom {
            Whom::Others => node.process != self.process(),
            Whom::Node(number) => node.number == number,
        };
        let nodes = status.nodes().into_iter().filter(is_asked).collect();
        let (mut silent, asked) = match whom {
            Whom::Others => questions.split_silent(nodes),
            Whom::Node(_) => (Vec::new(), nodes),
        };
        let (answers, mut answered) = mpsc::channel(asked.len().max(1));
        let missing: Vec<_> = asked.iter().map(|node| node.process).collect();
        let question = random::number();
        let mut gathered = Gathered::default();
        if !missing.is_empty() {
            let begun = questions.begin(question, Underway { missing, answers })?;
            let to = match whom {
                Whom::Others => None,
                Whom::Node(number) => Some(number),
            };
            self.tell(to, ask(question));
            let deadline = tokio::time::Instant::now() + ANSWER_MAX;
            // It is closed when all have answered.
            while let Ok(Some(answer)) = timeout_at(deadline, answered.recv()).await {
                gathered.answers.push(answer);
            }
            begun.give_up();
        }
        let has_answered =
            |node: &NodeSeen| gathered.answers.iter().any(|(number, _)| *number == node.number);
        silent.extend(asked.into_iter().filter(|node| !has_answered(node)));
        gathered.silent = silent.iter().map(|node| node.number).collect();
        gathered.silent.sort_unstable();
        gathered.answers.sort_unstable_by_key(|(number, _)| *number);
        Ok(gathered)
    }
}

/// Another node asks something.
pub(super) fn answer<E: Engine>(node: &Rc<Node<E>>, from: Author, (question, body): (u64, Vec<u8>)) {
    let Some(answered) = node.status.questions.ask(body) else { return };
    let node = Rc::clone(node);
    // As many wait as may be asked, for as long as whoever answers takes.
    spawn_local(async move {
        if let Ok(body) = answered.await
            && body.len() <= BODY_BYTES_MAX
        {
            node.tell(Some(from.node), Told::Answer { question, body });
        }
    });
}
