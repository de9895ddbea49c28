//! Real Redis, real nodes, and the ways between them.
//!
//! | file | subject |
//! |---|---|
//! | `node` | `turted` as a child, and where the nodes are |
//! | `proxy` | a node's way to Redis, which can be cut, stalled and delayed |
//! | `request` | one request to a server that may be away |
//! | `sentinel` | three sentinels |

pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod sentinel;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use node::{Directory, Node, until};
pub(crate) use proxy::{Proxy, Way};

use crate::support::redis::RedisServer;

/// How long a node may take to follow the log again once nothing is in its way.
pub(crate) const BACK: Duration = Duration::from_secs(15);

/// A log that the process writes down before it answers: a killed Redis has lost nothing.
pub(crate) const KEPT: &[&str] = &["--appendfsync", "always"];
/// A killed Redis has lost everything.
pub(crate) const FORGETFUL: &[&str] = &["--appendonly", "no"];

/// Some nodes on one Redis.
pub(crate) struct Cluster {
    pub(crate) redis: RedisServer,
    pub(crate) nodes: Vec<Node>,
    pub(crate) directory: Arc<Directory>,
    prefix: String,
}

impl Cluster {
    /// Three nodes, which are ready.
    pub(crate) fn start(redis: &[&str]) -> Self {
        Self::with(redis, 3, &[])
    }

    /// So many nodes with these further variables, which are ready.
    pub(crate) fn with(redis: &[&str], nodes: usize, variables: &[(&str, &str)]) -> Self {
        let redis = RedisServer::with(redis);
        let (directory, prefix) = (Arc::default(), "turted".to_owned());
        let mut cluster = Self { redis, nodes: Vec::new(), directory, prefix };
        for _ in 0..nodes {
            cluster.add(variables);
        }
        cluster.await_ready();
        cluster
    }

    /// Starts one more node.
    pub(crate) fn add(&mut self, variables: &[(&str, &str)]) {
        let proxy = Proxy::to(self.redis.port());
        let own = variables_of(&format!("redis://127.0.0.1:{}/0", proxy.port()), &self.prefix);
        let further = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let node =
            Node::start(self.nodes.len(), proxy, own.into_iter().chain(further).collect(), &self.directory);
        self.nodes.push(node);
    }

    pub(crate) fn await_ready(&self) {
        self.nodes.iter().for_each(|node| node.await_ready(BACK));
    }

    /// The name of a key of the cluster.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }

    /// Tells Redis something, past all proxies.
    pub(crate) fn tell(&self, command: &[&str]) {
        self.redis.client().ask(command);
    }
}

/// What makes a server a node of the cluster with this prefix.
pub(crate) fn variables_of(url: &str, prefix: &str) -> Vec<(String, String)> {
    let own = [
        ("TURTED_LOG_STORE", "redis"),
        ("TURTED_CLUSTER_URL", url),
        ("TURTED_CLUSTER_PREFIX", prefix),
        ("TURTED_CLUSTER_LISTEN", "127.0.0.1:0"),
    ];
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
