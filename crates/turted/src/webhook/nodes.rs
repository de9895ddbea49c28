//! What a hook tells of the other nodes of a cluster: one that is gone without a word is told by a node that is left.
//!
//! Two values in the engine serve for it. Under each process stands the name that its node has in batches; under each such
//! name stands which process has it. A node that finds another one silent takes its name: so one node tells of it, once.
//! A node that finds its own name taken was told as gone while it stood still: it takes the name back, and tells all who
//! are online.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::engine::Changed;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::job::{Unavailable, Wanted};
use crate::hub::hooks::Hook;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at the own name.
const BEAT: Duration = Duration::from_secs(5);
/// How long a node must have been heard itself before it tells that others are not: behind an outage of the engine, or of
/// this node, each node has two heartbeats to be heard.
const HEARD_MIN: Duration = Duration::from_secs(10);
/// A node that did not look for so long stood still, and knows nothing of the others.
const LOOK_MAX: Duration = Duration::from_secs(4);
/// How long the values are kept: longer than a process is remembered.
const AGE: Duration = Duration::from_secs(3600);
/// How long a question may wait for the engine.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a node waits that was told as gone: what was told of it is at the backend before its own records.
const SETTLE: Duration = Duration::from_secs(2);

/// What the value of a name begins with: a process has it, or its node was told as gone.
const HELD: u8 = 0;
const TOLD: u8 = 1;

/// The other nodes, as one hook sees them.
pub(super) struct Nodes {
    hook: Arc<Hook>,
    cluster: Cluster,
    /// The name of this node in batches.
    node: String,
    /// Processes of which nothing is to be told any more.
    settled: HashSet<u64>,
    /// Since when this node is heard, as far as it looked.
    heard: Option<Instant>,
    looked: Instant,
}

impl Nodes {
    pub(super) fn new(hook: Arc<Hook>, cluster: Cluster, node: String) -> Self {
        Self { hook, cluster, node, settled: HashSet::new(), heard: None, looked: Instant::now() }
    }

    /// Looks, for ever.
    pub(super) async fn watch(mut self) {
        self.claim().await;
        let mut beat = Instant::now();
        loop {
            sleep(LOOK).await;
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                self.beat().await;
            }
            if self.may_tell() {
                self.look().await;
            }
        }
    }

    /// Takes the name of this node, whoever had it: a process of before, or one that told that it is gone.
    async fn claim(&self) {
        let claim = async || {
            self.say_name().await?;
            self.ask(Wanted::Take { name: self.of_name(&self.node), age: AGE }).await?;
            self.ask(self.put_state(&self.node, HELD)).await
        };
        while claim().await.is_err() {
            sleep(LOOK).await;
        }
    }

    /// Keeps the name of this node, and finds out whether it was told as gone.
    async fn beat(&self) {
        if self.say_name().await.is_err() {
            return;
        }
        let Ok(Changed::Owned(_, state)) = self.ask(self.put_state(&self.node, HELD)).await else { return };
        if state.first() == Some(&TOLD) {
            warn!(hook = self.hook.name(), "this node was told as gone: all who are online are told anew");
            sleep(SETTLE).await;
            self.claim().await;
            self.hook.tell_anew();
        }
    }

    /// Whether this node has been heard for long enough to say who is not.
    fn may_tell(&mut self) -> bool {
        let (now, own) = (Instant::now(), self.cluster.process());
        let stood_still = now - self.looked > LOOK_MAX;
        self.looked = now;
        if stood_still || !self.is_alive(own) {
            self.heard = None;
            return false;
        }
        now - *self.heard.get_or_insert(now) >= HEARD_MIN
    }

    async fn look(&mut self) {
        let silent = self.cluster.status().silent();
        self.settled.retain(|process| silent.contains(process));
        for process in silent {
            if self.settled.contains(&process) {
                continue;
            }
            match self.tell(process).await {
                Ok(true) => drop(self.settled.insert(process)),
                Ok(false) => {}
                // It is asked again at the next look.
                Err(Unavailable) => return,
            }
        }
    }

    /// Tells that the node of a process is gone, if nobody has. Returns whether nothing is left to be told of it.
    async fn tell(&self, process: u64) -> Result<bool, Unavailable> {
        let Changed::Value(_, node) = self.ask(Wanted::Get { name: self.of_process(process) }).await? else {
            return Ok(true);
        };
        let Ok(node) = std::str::from_utf8(&node) else { return Ok(true) };
        if node == self.node {
            return Ok(true);
        }
        let name = self.of_name(node);
        let Changed::Value(owner, state) = self.ask(Wanted::Get { name: name.clone() }).await? else {
            return Ok(true);
        };
        if state.first() == Some(&TOLD) {
            return Ok(true);
        }
        if self.is_alive(owner) {
            // Either the node was started again, or this process is about to tell of it.
            return Ok(state.get(1..) == Some(&owner.to_be_bytes()[..]));
        }
        match self.ask(Wanted::Take { name, age: AGE }).await? {
            Changed::Value(before, _) if before == owner => {}
            _ => return Ok(false),
        }
        warn!(hook = self.hook.name(), node, "a node is gone without a word: the backend is told");
        self.hook.node_gone(node);
        self.ask(self.put_state(node, TOLD)).await?;
        Ok(true)
    }

    fn is_alive(&self, process: u64) -> bool {
        self.cluster.status().nodes().iter().any(|node| node.process == process)
    }

    async fn say_name(&self) -> Result<Changed, Unavailable> {
        let (name, value) = (self.of_process(self.cluster.process()), self.node.clone().into_bytes());
        self.ask(Wanted::Put { name, value, age: AGE }).await
    }

    fn put_state(&self, node: &str, state: u8) -> Wanted {
        let value = [&[state], &self.cluster.process().to_be_bytes()[..]].concat();
        Wanted::Put { name: self.of_name(node), value, age: AGE }
    }

    async fn ask(&self, wanted: Wanted) -> Result<Changed, Unavailable> {
        match self.cluster.ask(wanted, ANSWER_MAX).await? {
            Changed::Refused(_) => Err(Unavailable),
            changed => Ok(changed),
        }
    }

    /// Where it stands which name the node of a process has.
    fn of_process(&self, process: u64) -> String {
        self.value("process", &process.to_be_bytes())
    }

    /// Where it stands which process has a name.
    fn of_name(&self, node: &str) -> String {
        self.value("node", node.as_bytes())
    }

    /// Names may be any texts.
    fn value(&self, kind: &str, of: &[u8]) -> String {
        let parts = [kind.as_bytes(), self.hook.name().as_bytes(), of];
        let digest = parts.iter().fold(Sha256::new(), |digest, part| {
            digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
        });
        digest.finalize()[..16].iter().fold("hook:".to_owned(), |mut name, byte| {
            use std::fmt::Write;
            // Writing into a `String` cannot fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}
