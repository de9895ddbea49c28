//! The threads of the hooks of a server, one for each.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::batch::Envelope;
use super::node;
use super::nodes::Nodes;
use super::post::Mailbox;
use super::sender::{End, STOP_WAIT, Sender};
use crate::hub::cluster::Cluster;
use crate::hub::hooks::{Hook, Hooks};
use crate::io::tasks::Tasks;
use crate::io::threads::Threads;

/// How long a stop waits for the threads, beside what they may take themselves.
const END_WAIT: Duration = Duration::from_secs(1);

/// The threads of running hooks. Dropping it tells them to stop.
#[derive(Debug)]
pub(crate) struct HookThreads(Threads);

impl HookThreads {
    /// Starts a thread for each hook of a server that listens at `address`, and drains when `draining` is cancelled.
    ///
    /// # Errors
    /// The operating system refuses a thread, or has no random numbers.
    pub(crate) fn start(
        (hooks, cluster): (&Hooks, Option<&Cluster>),
        address: SocketAddr,
        draining: &CancellationToken,
    ) -> io::Result<Self> {
        let mut threads = Threads::new("hook");
        for hook in hooks.iter() {
            let life = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
            let envelope = Envelope::new(node(hook.settings(), address), life);
            let (hook, cluster) = (Arc::clone(hook), cluster.cloned());
            let envelope = if cluster.is_some() { envelope.of_several() } else { envelope };
            let end = End { draining: draining.clone(), stop: threads.stopping() };
            threads.spawn(move || {
                let run = AssertUnwindSafe(|| run(&hook, envelope, (cluster, &end)));
                if catch_unwind(run).is_err() {
                    error!(
                        hook = hook.name(),
                        "a hook has ended by a fault of this program, and does not come back"
                    );
                }
                // Nothing is kept that is not sent any more.
                hook.end();
            })?;
        }
        Ok(Self(threads))
    }

    /// Tells all hooks to stop.
    pub(crate) fn begin_stop(&self) {
        self.0.begin_stop();
    }

    /// Stops all hooks: they send what waits, as far as their backends take it in time.
    pub(crate) async fn stop(self) {
        self.0.stop(STOP_WAIT + END_WAIT).await;
    }
}

fn run(hook: &Arc<Hook>, envelope: Envelope, (cluster, end): (Option<Cluster>, &End)) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => {
            let ending = CancellationToken::new();
            let mailbox = Mailbox::new(hook.settings(), Tasks::new(ending.clone()));
            // A hook that hears of no clients is told of no nodes.
            let cluster = cluster.filter(|_| !hook.settings().clients.is_empty());
            let nodes =
                cluster.map(|cluster| Nodes::new(Arc::clone(hook), cluster, envelope.node().to_owned()));
            runtime.block_on(Sender::new(Arc::clone(hook), mailbox, envelope).run(end, nodes));
            ending.cancel();
            // A name look-up that hangs in the resolver must not keep the thread.
            runtime.shutdown_background();
        }
        Err(error) => error!(hook = hook.name(), %error, "cannot start a runtime"),
    }
}
