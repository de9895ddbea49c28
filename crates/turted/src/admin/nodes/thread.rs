//! The thread that answers the questions of other nodes, and tells them what they watch: they ask seldom, and the threads of clients and of the log do not
//! wait for that.

use std::io;
use std::net::SocketAddr;
use std::thread::Builder;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use turted_core::limits::PRESENCE_ASKED_MAX;
use turted_core::name::Name;

use super::ask::Ask;
use super::{answer_here, short, tell};
use crate::admin::monitor::Monitor;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::questions::Asked;
use crate::hub::presence::online::OnlineQuestion;
use crate::io::host::node_name;

/// Questions that are answered at once. Others wait: the workers are asked for each of them.
const AT_ONCE_MAX: usize = 8;

/// Starts the thread of the node that serves clients at `address`. It ends when the node has left its cluster.
///
/// # Errors
/// The operating system refuses a thread or its runtime.
pub(crate) fn start(cluster: &Cluster, monitor: Monitor, address: SocketAddr) -> io::Result<()> {
    let (asked, wanted) = (cluster.status().questions.asked(), cluster.status().watches.wanted());
    // A name that no client may have is no name in the view of an operator either.
    let name = Name::new(&node_name(address)).or_else(|_| Name::new("unnamed")).map_err(io::Error::other)?;
    let telling = tell::run((monitor.shared.live.clone(), cluster.clone()), name, wanted);
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let both = async { tokio::join!(answer_all(monitor, asked), telling) };
    let run = move || LocalSet::new().block_on(&runtime, both);
    Builder::new().name("turted-answers".to_owned()).spawn(run)?;
    Ok(())
}

async fn answer_all(monitor: Monitor, mut asked: mpsc::Receiver<Asked>) {
    let mut answering = JoinSet::new();
    while let Some(asked) = asked.recv().await {
        if answering.len() >= AT_ONCE_MAX {
            answering.join_next().await;
        }
        while answering.try_join_next().is_some() {}
        let monitor = monitor.clone();
        answering.spawn_local(async move { answer(&monitor, asked).await });
    }
}

async fn answer(monitor: &Monitor, Asked { body, answer }: Asked) {
    if let Ok(OnlineQuestion::Online(users)) = serde_json::from_slice(&body) {
        return drop(answer.send(online(monitor, users).await));
    }
    // What cannot be read is of a stranger, or of another version: to those that one is silent.
    let Ok(ask) = serde_json::from_slice::<Ask>(&body) else { return };
    let reply = answer_here(monitor, &ask).await;
    // The node that asked may not be there any more.
    let _ = answer.send(short::write(reply));
}

/// What is known of users. Texts that are no names are none.
async fn online(monitor: &Monitor, users: Vec<String>) -> Vec<u8> {
    let users = users.iter().take(PRESENCE_ASKED_MAX).filter_map(|user| Name::new(user).ok()).collect();
    serde_json::to_vec(&monitor.online(users).await).expect("numbers can be JSON")
}
