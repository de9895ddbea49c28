//! By which a node sees that it has the secret of the nodes that are there: a value that all of them keep.

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use tokio::time::{Instant, sleep};
use turted_core::secret::Secret;

use super::lease::{LEASE, PAUSE, in_time};
use super::status::Status;
use super::ways::Way;
use crate::engine::{Change, Changed, Engine, Failure, Values};

/// The name of the value.
const NAME: &str = "proof";
/// What is signed.
const TEXT: &[u8] = b"turted cluster proof";

/// The secrets of this node: it shows the first one, and takes nodes that show any.
#[derive(Debug)]
pub(crate) struct Proof {
    keys: Vec<Key>,
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// A secret of ours.
    Known,
    /// None of ours.
    Other,
}

impl Proof {
    /// Without any secret nothing is proved.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let keys = secrets.iter().map(|secret| Key::new(HMAC_SHA256, secret.reveal().as_bytes()));
        Self { keys: keys.collect() }
    }

    /// Waits for the engine, and shows that this node has the secret of those that are there. What others showed is forgotten
    /// soon after the last of them has gone.
    ///
    /// # Errors
    /// Nodes that are there have another secret, or the engine cannot be used.
    pub(super) async fn show<E: Engine>(&self, engine: &E, status: &Status) -> Result<(), String> {
        let Some(first) = self.first() else { return Ok(()) };
        let mut other_since = None;
        loop {
            match in_time(self.try_show(engine, &first)).await {
                Ok(Shown::Known) => return Ok(()),
                Ok(Shown::Other)
                    if other_since.get_or_insert_with(Instant::now).elapsed() > LEASE + PAUSE =>
                {
                    return Err(
                        "other nodes with this cluster.prefix have another secret (cluster.secret_file)"
                            .to_owned(),
                    );
                }
                Ok(Shown::Other) => status.waits_for_secret(),
                Err(Failure::Unusable(reason)) => return Err(reason),
                Err(failure) => status.failed(Way::Start, &failure.to_string()),
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_show<E: Engine>(&self, engine: &E, first: &[u8]) -> Result<Shown, Failure> {
        let mut values = engine.values().await?;
        let found = one(values.all(&[Change::Get { name: NAME }]).await?)?;
        if let Changed::Value(_, value) = &found {
            if !self.knows(value) {
                return Ok(Shown::Other);
            }
            // All nodes take the first line while the secret is changed, and it is the only one afterwards.
            one(values.all(&[Change::Take { name: NAME, age: LEASE }]).await?)?;
        }
        let hold = Change::Hold { name: NAME, value: first, age: LEASE };
        match one(values.all(&[hold]).await?)? {
            // Another node was faster.
            Changed::Owned(_, value) if !self.knows(&value) => Ok(Shown::Other),
            _ => Ok(Shown::Known),
        }
    }

    /// Keeps what is shown, for as long as a lease. `ask` asks the engine.
    pub(super) async fn keep(&self, ask: impl AsyncFn(Change<'_>) -> Option<Changed>) {
        let Some(first) = self.first() else { return };
        match ask(Change::Take { name: NAME, age: LEASE }).await {
            Some(Changed::Value(_, value)) if self.knows(&value) => {}
            // If it fails there is time for another attempt before it expires.
            Some(_) => drop(ask(Change::Hold { name: NAME, value: &first, age: LEASE }).await),
            None => {}
        }
    }

    fn first(&self) -> Option<Vec<u8>> {
        self.keys.first().map(|key| hmac::sign(key, TEXT).as_ref().to_vec())
    }

    fn knows(&self, value: &[u8]) -> bool {
        self.keys.iter().any(|key| hmac::verify(key, TEXT, value).is_ok())
    }
}

/// What became of the only change. One that is refused may be tried again.
fn one(changed: Vec<Changed>) -> Result<Changed, Failure> {
    match changed.into_iter().next() {
        Some(Changed::Refused(reason)) => Err(Failure::Lost(reason)),
        changed => changed.ok_or_else(|| Failure::Lost("it does not answer".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::task::LocalSet;

    use super::*;
    use crate::engine::memory::{MemoryEngine, World};

    /// Nodes that start on one engine, each with its process.
    struct Nodes(Rc<World>);

    impl Nodes {
        fn node(&self, process: u64, secrets: &[&str]) -> (MemoryEngine, Proof) {
            let secrets: Vec<_> = secrets.iter().copied().map(Secret::from).collect();
            (MemoryEngine::new(&self.0, process), Proof::new(&secrets))
        }

        /// A node shows its secret for half a minute.
        async fn stays(&self, process: u64, secrets: &[&str]) {
            let (engine, proof) = self.node(process, secrets);
            for _ in 0..6 {
                keep(&engine, &proof).await;
                sleep(Duration::from_secs(5)).await;
            }
        }

        async fn starts(&self, process: u64, secrets: &[&str]) -> bool {
            let (engine, proof) = self.node(process, secrets);
            proof.show(&engine, &Status::new()).await.is_ok()
        }
    }

    async fn keep(engine: &MemoryEngine, proof: &Proof) {
        let ask = async |change: Change<'_>| engine.values().await.ok()?.all(&[change]).await.ok()?.pop();
        proof.keep(ask).await;
    }

    /// Runs a test on an engine, on a clock that goes on when nothing else is to be done.
    async fn on_engine(test: impl AsyncFnOnce(Nodes)) {
        let local = LocalSet::new();
        let nodes = Nodes(World::new(1));
        local.spawn_local(Rc::clone(&nodes.0).run());
        local.run_until(test(nodes)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_changed_by_two_lines_node_by_node() {
        on_engine(async |nodes| {
            assert!(nodes.starts(1, &["old"]).await && nodes.starts(2, &["old"]).await);
            assert!(nodes.starts(3, &["old", "new"]).await && nodes.starts(4, &["old", "new"]).await);
            assert!(nodes.starts(5, &["new", "old"]).await);
            let (engine, proof) = nodes.node(4, &["old", "new"]);
            keep(&engine, &proof).await;
            assert!(nodes.starts(6, &["new"]).await, "a node with the old line above keeps what is shown");
            assert!(nodes.starts(7, &["new"]).await);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn another_secret_is_refused_while_a_node_is_there_and_taken_soon_after() {
        on_engine(async |nodes| {
            assert!(nodes.starts(1, &["old"]).await);
            let ((engine, proof), status) = (nodes.node(9, &["new"]), Status::new());
            let waiting = tokio::time::timeout(PAUSE, proof.show(&engine, &status)).await;
            assert!(waiting.is_err() && status.failure().unwrap().contains("another secret"));
            let (is_taken, ()) = tokio::join!(nodes.starts(2, &["new", "third"]), nodes.stays(1, &["old"]));
            assert!(!is_taken);
            assert!(nodes.starts(3, &["new"]).await, "nobody is there any more");
        })
        .await;
    }
}
