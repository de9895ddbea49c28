//! Real Redis, real nodes, and the ways between them.
//!
//! | file | subject |
//! |---|---|
//! | `node` | `turted` as a child, and where the nodes are |
//! | `proxy` | a node's way to Redis, which can be cut, stalled and delayed |
//! | `replica` | a second Redis, which follows the first |
//! | `request` | one request to a server that may be away |
//! | `sentinel` | three sentinels, in the form of the server |
//! | `server` | Redis, also over TLS, with the user of the documentation, as a Cluster |

pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod replica;
pub(crate) mod request;
pub(crate) mod sentinel;
pub(crate) mod server;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use turted_core::wire::resp::Reply;

pub(crate) use node::{Directory, FILE, Node, until};
pub(crate) use proxy::{Proxy, Way};

use self::sentinel::Sentinels;
use self::server::Server;

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
    pub(crate) redis: Server,
    group: Group,
}

impl Cluster {
    /// Three nodes, which are ready.
    pub(crate) fn start(redis: &[&str]) -> Self {
        Self::with(redis, 3, &[])
    }

    /// So many nodes with these further variables, which are ready.
    pub(crate) fn with(redis: &[&str], nodes: usize, variables: &[(&str, &str)]) -> Self {
        Self::on(Server::with(redis), nodes, variables)
    }

    /// Three nodes on a Redis that may have replicas, which are ready.
    pub(crate) fn replicated(redis: &[&str]) -> Self {
        Self::on(Server::replicated(redis), 3, &[])
    }

    /// So many nodes on a Redis that runs already.
    pub(crate) fn on(redis: Server, nodes: usize, variables: &[(&str, &str)]) -> Self {
        let group = Group::on(&redis, ("turted", 0), nodes, variables);
        Self { redis, group }
    }

    /// So many nodes with another prefix on the same Redis, which are ready.
    pub(crate) fn beside(&self, prefix: &str, nodes: usize) -> Group {
        Group::on(&self.redis, (prefix, 0), nodes, &[])
    }

    /// So many nodes with the same prefix in another database of the same Redis, which are ready.
    pub(crate) fn in_database(&self, database: u32, nodes: usize) -> Group {
        Group::on(&self.redis, ("turted", database), nodes, &[])
    }

    /// One more node, with variables of its own.
    pub(crate) fn join(&mut self, variables: &[(&str, &str)]) {
        self.group.add_to(&self.redis, ("turted", 0), variables);
        self.await_ready();
    }

    /// One more node, whose way to Redis carries so many bytes a second on each connection. It need not be ready.
    pub(crate) fn join_slowly(&mut self, rate: u64, variables: &[(&str, &str)]) {
        let proxy = Proxy::to(self.redis.node_port());
        proxy.slow_down(rate);
        self.group.add_by(&self.redis, proxy, ("turted", 0), variables);
    }

    /// Tells Redis something, past all proxies.
    pub(crate) fn tell(&self, command: &[&str]) {
        self.redis.client().ask(command);
    }

    /// How often this text stands in the log.
    pub(crate) fn standing(&self, text: &str) -> usize {
        let log = self.redis.client().ask(&["XRANGE", &self.key("log"), "-", "+"]);
        count(&log, text.as_bytes())
    }

    /// Holds back what Redis sends on the connections of a node that have this role, which are its last ones of this role.
    pub(crate) fn stall_role(&self, node: usize, role: &str) {
        let ports = self
            .connections(role, "addr=127.0.0.1:")
            .iter()
            .map(|port| port.parse().unwrap())
            .collect::<Vec<_>>();
        assert!(self.nodes[node].proxy.stall_those(Way::ToNode, &ports) > 0, "no {role} at {ports:?}");
    }

    /// What Redis says behind this of the connections that have this role.
    pub(crate) fn connections(&self, role: &str, what: &str) -> Vec<String> {
        let said = self.redis.client().ask(&["CLIENT", "LIST"]);
        let Reply::Text(said) = said else { panic!("{said:?}") };
        let said = std::str::from_utf8(&said).unwrap();
        let named = format!(" name=turted-{role} ");
        let those = said.lines().filter(|line| line.contains(&named));
        those
            .filter_map(|line| line.split(' ').find_map(|part| part.strip_prefix(what)))
            .map(str::to_owned)
            .collect()
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

/// How many texts of a reply have this in them.
fn count(reply: &Reply, text: &[u8]) -> usize {
    match reply {
        Reply::Text(whole) => usize::from(whole.windows(text.len()).any(|part| part == text)),
        Reply::Array(parts) => parts.iter().map(|part| count(part, text)).sum(),
        _ => 0,
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
    fn on(redis: &Server, (prefix, database): (&str, u32), nodes: usize, variables: &[(&str, &str)]) -> Self {
        let mut group = Self { nodes: Vec::new(), directory: Arc::default(), prefix: prefix.to_owned() };
        for _ in 0..nodes {
            group.add_to(redis, (prefix, database), variables);
        }
        group.await_ready();
        group
    }

    /// So many nodes, which are ready and ask sentinels where this master is.
    pub(crate) fn of_sentinels(sentinels: &Sentinels, master: &Server, nodes: usize) -> Self {
        let mut group = Self { nodes: Vec::new(), directory: Arc::default(), prefix: "turted".to_owned() };
        for _ in 0..nodes {
            let own = sentinels.variables(master);
            let own: Vec<_> = own.iter().map(|(name, value)| (&**name, &**value)).collect();
            // Nodes go where the sentinels say, past all proxies.
            group.add(Proxy::to(master.node_port()), &own);
        }
        group.await_ready();
        group
    }

    /// One more node on this Redis.
    fn add_to(&mut self, redis: &Server, (prefix, database): (&str, u32), variables: &[(&str, &str)]) {
        self.add_by(redis, Proxy::to(redis.node_port()), (prefix, database), variables);
    }

    /// One more node on this Redis, by way of this proxy.
    fn add_by(&mut self, redis: &Server, proxy: Proxy, place: (&str, u32), variables: &[(&str, &str)]) {
        let own = redis.variables(place, proxy.port());
        let own: Vec<_> = own.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.add(proxy, &[&own, variables].concat());
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
