//! How a node leaves: when its server stops, its own pushes are read back first, then nothing is handed over any more, and
//! its workers can end. It goes on with its heartbeats until its clients are told, for it still passes on, lets go and bears
//! witness.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use super::node::Node;
use crate::engine::Engine;

/// How long it may take until the own pushes are read.
const READ_MAX: Duration = Duration::from_secs(2);

/// Reads what this node has appended, and hands nothing over any more.
pub(super) async fn close_feed<E: Engine>(node: Rc<Node<E>>) {
    let acknowledged = node.view.borrow().acknowledged;
    let reading = async {
        while acknowledged.is_some_and(|at| !node.view.borrow().has_read(at)) {
            node.progress.notified().await;
        }
    };
    if timeout(READ_MAX, reading).await.is_err() {
        tracing::warn!("the log does not answer: what was pushed last is delivered by other nodes alone");
    }
    node.feed.close();
}
