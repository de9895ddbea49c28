//! Real Redis, real nodes, and the ways between them.
//!
//! | file | subject |
//! |---|---|
//! | `node` | `turted` as a child, and where the nodes are |
//! | `proxy` | a node's way to Redis, which can be cut, stalled and delayed |
//! | `replica` | a second Redis, which follows the first |
//! | `request` | one request to a server that may be away |
//! | `sentinel` | three sentinels |

pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod replica;
pub(crate) mod request;
pub(crate) mod sentinel;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use turted_core::wire::resp::Reply;

pub(crate) use node::{Directory, FILE, Node, until};
pub(crate) use proxy::{Proxy, Way};

use self::sentinel::Sentinels;
use crate::support::redis::RedisServer;

/// How long a node may take to follow the log again once nothing is in its way.
pub(crate) const BACK: Duration = Duration::from_secs(15);

/// A log that the process writes down before it answers: a killed Redis has lost nothing.
pub(crate) const KEPT: &[&str] = &["--appendfsync", "always"];
/// A killed Redis has lost everything.
pub(crate) const FORGETFUL: &[&str] = &["--appendonly", "no"];

/// Some nodes with one prefix.
pub(crate) struct Group {
    pub(crate) nodes: Vec<Node>,
    pub(crate) directory: Arc<Directory>,
    prefix: String,
}

/// Some nodes on a Redis of their own.
pub(crate) struct Cluster {
    pub(crate) redis: RedisServer,
    group: Group,
}

impl Cluster {
    /// Three nodes, which are ready.
    pub(crate) fn start(redis: &[&str]) -> Self {
        Self::with(redis, 3, &[])
    }

    /// So many nodes with these further variables, which are ready.
    pub(crate) fn with(redis: &[&str], nodes: usize, variables: &[(&str, &str)]) -> Self {
        Self::on(RedisServer::with(redis), nodes, variables)
    }

    /// The same on a Redis that runs already.
    pub(crate) fn on(redis: RedisServer, nodes: usize, variables: &[(&str, &str)]) -> Self {
        let group = Group::on(redis.port(), "turted", nodes, variables);
        Self { redis, group }
    }

    /// So many nodes with another prefix on the same Redis, which are ready.
    pub(crate) fn beside(&self, prefix: &str, nodes: usize) -> Group {
        Group::on(self.redis.port(), prefix, nodes, &[])
    }

    /// Tells Redis something, past all proxies.
    pub(crate) fn tell(&self, command: &[&str]) {
        self.redis.client().ask(command);
    }

    /// The epoch of the last entry in the log, as ids of entries have it.
    pub(crate) fn epoch(&self) -> String {
        let last = self.redis.client().ask(&["XREVRANGE", &self.key("log"), "+", "-", "COUNT", "1"]);
        let Reply::Array(entries) = &last else { panic!("{last:?}") };
        let Some(Reply::Array(entry)) = entries.first() else { panic!("no entry: {last:?}") };
        let Some(Reply::Text(id)) = entry.first() else { panic!("no id: {last:?}") };
        std::str::from_utf8(id).unwrap().split_once('-').expect("an id").0.to_owned()
    }
}

impl Deref for Cluster {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.group
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Group {
        &mut self.group
    }
}

impl Group {
    fn on(redis: u16, prefix: &str, nodes: usize, variables: &[(&str, &str)]) -> Self {
        let mut group = Self { nodes: Vec::new(), directory: Arc::default(), prefix: prefix.to_owned() };
        for _ in 0..nodes {
            let proxy = Proxy::to(redis);
            let url = format!("redis://127.0.0.1:{}/0", proxy.port());
            group.add(proxy, &[&[("TURTED_CLUSTER_URL", &*url)], variables].concat());
        }
        group.await_ready();
        group
    }

    /// So many nodes, which are ready and ask sentinels where Redis is.
    pub(crate) fn of_sentinels(sentinels: &Sentinels, nodes: usize) -> Self {
        let mut group = Self { nodes: Vec::new(), directory: Arc::default(), prefix: "turted".to_owned() };
        for _ in 0..nodes {
            let addresses = sentinels.addresses();
            let own =
                [("TURTED_CLUSTER_SENTINELS", &*addresses), ("TURTED_CLUSTER_MASTER", sentinel::MASTER)];
            group.add(Proxy::to(sentinels.ports()[0]), &own);
        }
        group.await_ready();
        group
    }

    /// Starts one more node.
    fn add(&mut self, proxy: Proxy, further: &[(&str, &str)]) {
        let own = [
            ("TURTED_LOG_STORE", "redis"),
            ("TURTED_CLUSTER_PREFIX", &*self.prefix),
            ("TURTED_CLUSTER_LISTEN", "127.0.0.1:0"),
        ];
        let all = own.iter().chain(further).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let node = Node::start(self.nodes.len(), proxy, all.collect(), &self.directory);
        self.nodes.push(node);
    }

    pub(crate) fn await_ready(&self) {
        self.nodes.iter().for_each(|node| node.await_ready(BACK));
    }

    /// The name of a key of the cluster.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }
}
