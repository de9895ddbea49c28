//! What other nodes tell this one.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use turted_core::cluster::head::Read;
use turted_core::cluster::message::{self, Message, Told};

use super::lease::in_time;
use super::node::Node;
use super::ways::Way;
use super::{asking, counts, history};
use crate::engine::{Ears, Engine, Failure};

/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long nothing may come: the engine says so after 5 s.
const HEAR_MAX: Duration = Duration::from_secs(10);

/// Hears, for ever.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>) {
    loop {
        let failure = match in_time(node.engine.ears(node.settings.number.get())).await {
            Ok(mut ears) => {
                node.status.works(Way::Ears);
                // What was told meanwhile is not heard: whoever asked waits for a while only.
                tokio::select! {
                    biased;
                    failure = listen(&node, &mut ears) => Some(failure),
                    () = node.ears_stuck.notified() => None,
                }
            }
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            node.status.failed(Way::Ears, &failure.to_string());
        }
        sleep(PAUSE).await;
    }
}

/// Hears until the connection is lost.
async fn listen<E: Engine>(node: &Rc<Node<E>>, ears: &mut E::Ears) -> Failure {
    loop {
        match timeout(HEAR_MAX, ears.hear()).await {
            Ok(Ok(heard)) => heard.iter().for_each(|bytes| hear(node, bytes)),
            Ok(Err(failure)) => return failure,
            Err(_) => return Failure::Lost("it does not answer".to_owned()),
        }
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
