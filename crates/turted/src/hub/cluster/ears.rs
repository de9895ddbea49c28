//! What other nodes tell this one.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use turted_core::cluster::head::Read;
use turted_core::cluster::message::{self, Message, Told};

use super::node::Node;
use super::{asking, counts, history};
use crate::engine::{Ears, Engine};

/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long nothing may come: the engine says so after 5 s.
const HEAR_MAX: Duration = Duration::from_secs(10);

/// Hears, for ever.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    loop {
        let connecting = timeout(HEAR_MAX, node.engine.ears(node.settings.number.get()));
        if let Ok(Ok(mut ears)) = connecting.await {
            // What was told meanwhile is not heard: whoever asked waits for a while only.
            tokio::select! {
                () = listen(&node, &mut ears) => {}
                () = node.ears_stuck.notified() => {}
            }
        }
        sleep(PAUSE).await;
    }
}

/// Hears until the connection is lost.
async fn listen<E: Engine>(node: &Rc<Node<E>>, ears: &mut E::Ears) {
    while let Ok(Ok(heard)) = timeout(HEAR_MAX, ears.hear()).await {
        heard.iter().for_each(|bytes| hear(node, bytes));
    }
}

fn hear<E: Engine>(node: &Rc<Node<E>>, bytes: &[u8]) {
    let Read::Ours(Message { from, told }) = message::decode(bytes) else {
        return node.status.foreign();
    };
    if from.process == node.settings.process {
        return;
    }
    // Whoever speaks here acts as an operator: it has to be a process that this node has read of in its log.
    if !node.view.borrow().table.knows(from.process) {
        return node.status.foreign();
    }
    match told {
        Told::Counts(counted) => counts::counted(node, from.process, counted),
        Told::Ask { question, body } => asking::answer(node, from, (question, body)),
        Told::AskHistory { question, ask } => history::answer(node, from, (question, ask)),
        Told::Answer { question, body } => node.status.questions.answered(from, question, body),
        Told::Block { address, list, seconds } => {
            node.status.questions.block(list, address, Duration::from_secs(seconds.into()));
        }
        Told::Watch(told) => node.status.watches.hear(from, told),
        told => node.status.hear(from, told),
    }
}
