//! Servers that know each other, and what they share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use turted_core::secret::Secret;

use super::client::{Answer, Client};
use crate::config::{Admin, AdminListen, Config};
use crate::engine::{Change, Changed};
use crate::http::endpoint::Endpoints;
use crate::hub::cluster::claims::{Claims, Question};
use crate::hub::cluster::peers::{PeerTls, Peers};
use crate::server::Server;
use crate::server::node::Door;
use crate::server::routes::{self, Site};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// What nodes claim: values by name, with the process that owns them.
pub(super) type Values = Arc<Mutex<HashMap<String, (u64, Bytes)>>>;

/// Answers the questions of a process as an engine does, until its server is gone.
fn serve(values: &Values, process: u64, mut questions: mpsc::Receiver<Question>) {
    let values = Arc::clone(values);
    thread::spawn(move || {
        while let Some(question) = questions.blocking_recv() {
            let done = apply(&mut values.lock().unwrap(), process, &question.change());
            question.settle(&done);
        }
    });
}

fn apply(values: &mut HashMap<String, (u64, Bytes)>, process: u64, change: &Change<'_>) -> Changed {
    match change {
        Change::Get { name } => match values.get(*name) {
            Some((owner, value)) => Changed::Value(*owner, value.clone()),
            None => Changed::Missing,
        },
        Change::Hold { name, value, .. } => {
            let own = (process, Bytes::copy_from_slice(value));
            let (owner, held) = values.entry((*name).to_owned()).or_insert(own);
            if *owner == process { Changed::Done } else { Changed::Owned(*owner, held.clone()) }
        }
        Change::Delete { name } => {
            values.remove(*name);
            Changed::Done
        }
        other => panic!("{other:?}"),
    }
}

/// What a server is made of, and how it speaks TLS with others.
pub(super) type Settings = (Config, Option<PeerTls>);
/// What a server serves.
pub(super) type Serving = fn(&Site<'_>) -> Endpoints;

/// One node: its server, and what it knows of the others.
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) peers: Arc<Peers>,
}

impl Node {
    /// A node with this number, which knows no other one.
    pub(super) fn start(number: u16, values: &Values, settings: Settings, endpoints: Serving) -> Self {
        let (config, tls) = settings;
        let (claims, questions) = Claims::new();
        serve(values, number.into(), questions);
        let peers = Peers::new(&[Secret::from("the secret of the cluster")], tls, claims);
        peers.set_own(Some(number));
        let admin = Admin { listen: AdminListen::Off, token: None, write_token: None };
        let config = Config { listen: LOOPBACK, admin, workers: 2, ..config };
        let door = Door { peers: Arc::clone(&peers), listen: LOOPBACK };
        Self { server: Server::builder(config).endpoints(endpoints).door(door).bind().unwrap(), peers }
    }

    /// What all workers of the node have counted.
    pub(super) fn counted(
        &self,
        count: impl Fn(&crate::hub::delivery::metrics::WorkerMetrics) -> u64,
    ) -> u64 {
        self.server.shared.metrics.iter().map(|worker| count(worker)).sum()
    }

    pub(super) fn sockets(&self) -> usize {
        self.server.shared.sockets()
    }
}

/// Nodes that know each other, numbered from 0.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Values,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::with(Config::default)
    }

    pub(super) fn with(config: impl Fn() -> Config) -> Self {
        Self::with_tls(|| (config(), None))
    }

    pub(super) fn with_tls(settings: impl Fn() -> Settings) -> Self {
        Self::serving(routes::turted, settings)
    }

    /// Nodes that serve something else than turted alone.
    pub(super) fn serving(endpoints: Serving, settings: impl Fn() -> Settings) -> Self {
        let values = Values::default();
        let nodes: Vec<_> =
            (0..3).map(|number| Node::start(number, &values, settings(), endpoints)).collect();
        let cluster = Self { nodes, values };
        let known: HashMap<u16, SocketAddr> = (0..)
            .zip(&cluster.nodes)
            .map(|(number, node)| (number, node.server.nodes_address().unwrap()))
            .collect();
        cluster.nodes.iter().for_each(|node| node.peers.set_nodes(known.clone()));
        cluster
    }

    /// A connection to a node.
    pub(super) fn client(&self, node: usize) -> Client {
        Client::connect(self.nodes[node].server.address())
    }

    /// A request to a node on a connection of its own.
    pub(super) fn ask(&self, node: usize, request: (&str, &str, &str)) -> Answer {
        self.client(node).ask(request)
    }

    /// Emits an event to everyone who is connected to a node.
    pub(super) fn broadcast(&self, node: usize, value: &str) {
        self.nodes[node].server.dispatcher().broadcast("NEWS", &value).unwrap();
    }

    /// Waits until no node has a socket open.
    pub(super) fn wait_until_idle(&self) {
        until(|| self.nodes.iter().all(|node| node.sockets() == 0));
    }
}

/// Waits until something is so.
pub(super) fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come");
        thread::yield_now();
    }
}
