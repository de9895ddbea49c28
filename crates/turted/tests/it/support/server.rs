//! A server in this process, on a free port, which stops at the end of the test and must have run well.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use turted::config::{Admin, AdminListen, Config};
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

pub(crate) struct TestServer {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    dispatcher: Dispatcher,
    certificates: Option<Certificates>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
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
        Self::run(Server::bind(config).unwrap())
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
        Self { address, admin, dispatcher, certificates, stop, thread }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts in one series.
    pub(crate) fn metric(&self, series: &str) -> usize {
        Metrics::read(&mut self.admin()).value(series)
    }

    /// How often a rule was broken.
    pub(crate) fn refusals(&self, rule: &str) -> usize {
        let series = format!("turted_refusals_total{{rule=\"{rule}\"}}");
        Metrics::read(&mut self.admin()).find(&series).unwrap_or(0)
    }

    /// A connection to its admin listener.
    pub(crate) fn admin(&self) -> Http {
        Http::connect(self.admin.expect("the admin listener is on"))
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the admin listener is on")
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().unwrap()
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address)
    }

    pub(crate) fn client(&self, kind: Kind) -> Client {
        Client::connect(self.address, kind)
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

    /// Stops the server, which closes what its clients left open. Its workers assert that they leave no connection,
    /// user, channel or task behind (`server/leftovers.rs`), and end badly otherwise.
    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let admin = self.admin.as_ref().map(SocketAddr::port);
        let ports: Vec<u16> = admin.into_iter().chain([self.address.port()]).collect();
        let sockets = Sockets::of_ports(&ports);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let ended = thread.join();
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
