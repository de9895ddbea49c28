//! A server in this process, on a free port, which stops at the end of the test and must have run well. With
//! `TURTED_TEST_CLUSTER` it is three, which take turns.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use turted::config::{Admin, AdminListen, Config};
#[cfg(feature = "redis")]
use turted::config::{Broker, ClusterConfig, LogStore, RedisServer};
use turted::dispatcher::Dispatcher;
use turted::server::{Server, ServerError};
use turted::tls::Certificates;

use super::sockets::Sockets;
use super::{Client, Http, Kind, Metrics, Response, eventually};

/// The defaults, with two workers on free ports.
pub(crate) fn config() -> Config {
    let free = ([127, 0, 0, 1], 0).into();
    let admin = Admin { listen: AdminListen::At(free), token: None, write_token: None };
    Config { listen: free, admin, workers: 2, ..Config::default() }
}

/// The configuration of a node whose log is in the Redis at this port.
#[cfg(feature = "redis")]
fn of_cluster(config: &Config, port: u16) -> Config {
    let host = "127.0.0.1".to_owned();
    let broker = Broker { host, port, user: None, password: None, tls: None };
    let cluster = ClusterConfig {
        server: RedisServer { broker, database: 0, heartbeat: std::time::Duration::from_secs(10) },
        sentinels: None,
        prefix: "turted".to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        secrets: Vec::new(),
        replicas: 0,
        tls: None,
    };
    Config { log: LogStore::Redis, cluster: Some(cluster), ..config.clone() }
}

pub(crate) struct TestServer {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    dispatcher: Dispatcher,
    certificates: Option<Certificates>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
    /// The others, if it is one of several that take turns, and the Redis of all.
    others: Vec<TestServer>,
    turn: AtomicUsize,
    redis: Option<super::redis::RedisServer>,
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Self::start(config())
    }

    /// A server with the defaults but for what `change` changes.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self::start(config)
    }

    pub(crate) fn start(config: Config) -> Self {
        #[cfg(feature = "redis")]
        if std::env::var_os("TURTED_TEST_CLUSTER").is_some() && config.cluster.is_none() {
            return Self::three(&config);
        }
        Self::run(Server::bind(config).unwrap())
    }

    /// Three servers that are as one. A log on disk gives way to that of the cluster.
    #[cfg(feature = "redis")]
    fn three(config: &Config) -> Self {
        let redis = super::redis::RedisServer::start();
        let mut servers: Vec<_> = (0..3).map(|_| Self::start(of_cluster(config, redis.port()))).collect();
        let mut first = servers.remove(0);
        (first.others, first.redis) = (servers, Some(redis));
        first
    }

    /// Runs a server with parts of the test in it.
    pub(crate) fn run(server: Server) -> Self {
        let (address, dispatcher) = (server.address(), server.dispatcher());
        let admin = server.admin_address();
        let certificates = server.certificates();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(server.run(async {
                let _ = stopped.await;
            }))
        };
        let (stop, thread) = (Some(stop), Some(thread::spawn(run)));
        let (others, turn, redis) = Default::default();
        Self { address, admin, dispatcher, certificates, stop, thread, others, turn, redis }
    }

    /// All servers, first the one whose turn it is.
    fn all(&self) -> Vec<&Self> {
        let mut all: Vec<_> = [self].into_iter().chain(&self.others).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % all.len();
        all.rotate_left(turn);
        all
    }

    /// Where they listen, first the one whose turn it is.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.all().iter().map(|server| server.address).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// What it counts in one series.
    pub(crate) fn metric(&self, series: &str) -> usize {
        self.all().iter().map(|server| Metrics::read(&mut server.admin()).value(series)).sum()
    }

    /// How often a rule was broken.
    pub(crate) fn refusals(&self, rule: &str) -> usize {
        let series = format!("turted_refusals_total{{rule=\"{rule}\"}}");
        self.all().iter().filter_map(|server| Metrics::read(&mut server.admin()).find(&series)).sum()
    }

    /// A connection to its admin listener.
    pub(crate) fn admin(&self) -> Http {
        Http::connect(self.admin.expect("the admin listener is on"))
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the admin listener is on")
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.all()[0].dispatcher
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().unwrap()
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect_in_turn(&self.addresses())
    }

    pub(crate) fn client(&self, kind: Kind) -> Client {
        Client::connect_in_turn(&self.addresses(), kind, "40")
    }

    /// One push on a connection of its own.
    pub(crate) fn push(&self, body: impl AsRef<[u8]>) -> Response {
        self.http().post("/push/", &[("Connection", "close")], body)
    }

    /// The server still takes a push, delivers it and answers an ECHO.
    pub(crate) fn assert_alive(&self) {
        for kind in [Kind::V4_WEBSOCKET, Kind::V3_POLLING] {
            let mut client = self.client(kind);
            assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}");
            client.ask("IDENT", r#"{"username":"alive"}"#);
            let push = r#"{"event":"alive?","targets":{"users":["alive"]},"payload":[1]}"#;
            assert_eq!(self.push(push).text(), "OK");
            // A broadcast of before may come first on another worker.
            while client.event().name != "alive?" {}
            client.leave();
        }
    }

    /// Stops the server; it must end well.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// Stops the servers, which close what its clients left open. Their workers assert that they leave no connection,
    /// user, channel or task behind (`server/leftovers.rs`), and end badly otherwise.
    fn end(&mut self) {
        self.others.iter_mut().for_each(Self::end);
        let Some(thread) = self.thread.take() else { return };
        let admin = self.admin.as_ref().map(SocketAddr::port);
        let ports: Vec<u16> = admin.into_iter().chain([self.address.port()]).collect();
        let sockets = Sockets::of_ports(&ports);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let ended = thread.join();
        drop(self.redis.take());
        if !thread::panicking() {
            ended
                .expect("the server does not panic")
                .expect("the server ends well and leaves nothing behind");
            eventually("the sockets of the server are closed", || sockets.open() == 0);
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.end();
    }
}
