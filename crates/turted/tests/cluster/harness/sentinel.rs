//! Three sentinels that watch one master. They speak TLS, and have the user of the documentation, where the server does.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use turted_core::wire::resp::Reply;

use super::server::{Server, Trust, is_asked, trust};
use crate::support::redis::Redis;
use crate::support::{eventually, ports};

const MASTER: &str = "main";

pub(crate) struct Sentinels {
    /// Where tests come to.
    ports: [u16; 3],
    /// Where nodes come to over TLS.
    tls: Option<([u16; 3], Arc<Trust>)>,
    processes: Vec<Child>,
    /// Where they keep their configuration, which they write themselves.
    _directory: TempDir,
}

/// The line of the documentation that gives sentinels the user of nodes.
fn user() -> &'static str {
    let docs = include_str!("../../../../../docs/cluster.md");
    docs.lines().find(|line| line.starts_with("user turted ")).expect("a line")
}

impl Sentinels {
    /// Sentinels of this master. A master that does not answer for half a second is down.
    pub(crate) fn watch(master: &Server) -> Self {
        Self::with(master, "")
    }

    /// The same, with this line of configuration.
    pub(crate) fn with(master: &Server, further: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports: [u16; 6] = ports::free();
        let [first, second, third, tls_ports @ ..] = ports;
        let ports = [first, second, third];
        let tls = is_asked("tls").then(|| (tls_ports, trust()));
        let start = |place: usize| {
            let port = ports[place];
            let file = directory.path().join(format!("{port}.conf"));
            let mut lines = vec![format!("port {port}"), "bind 127.0.0.1".to_owned(), further.to_owned()];
            if let Some((ports, trust)) = &tls {
                let options = trust.options(ports[place]);
                lines.extend(options.iter().map(|(name, value)| format!("{name} {value}")));
                lines.push("tls-replication yes".to_owned());
            }
            if is_asked("acl") {
                lines.push(user().to_owned());
            }
            lines.extend([
                format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", master.node_port()),
                format!("sentinel down-after-milliseconds {MASTER} 500"),
                format!("sentinel failover-timeout {MASTER} 3000"),
            ]);
            fs::write(&file, lines.join("\n")).unwrap();
            Command::new("redis-sentinel")
                .arg(file)
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-sentinel (Debian package redis-sentinel)")
        };
        let processes = [0, 1, 2].map(start).into();
        Self { ports, tls, processes, _directory: directory }
    }

    /// What a node is told that asks them. It is not told where the master is.
    pub(crate) fn variables(&self, master: &Server) -> Vec<(String, String)> {
        let ports = self.tls.as_ref().map_or(self.ports, |(ports, _)| *ports);
        let addresses = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let mut own = vec![("SENTINELS", addresses), ("MASTER", MASTER.to_owned())];
        if is_asked("acl") {
            own.extend(
                [("SENTINEL_USER", "turted"), ("SENTINEL_PASSWORD", "PASSWORD")]
                    .map(|(name, value)| (name, value.to_owned())),
            );
        }
        let own = own.into_iter().map(|(name, value)| (format!("TURTED_CLUSTER_{name}"), value));
        // Port and host mean nothing beside sentinels: nobody listens there.
        master.variables(("turted", 0), 1).into_iter().chain(own).collect()
    }

    /// Waits until all of them know a replica and each other.
    pub(crate) fn await_replica(&self) {
        let count = |redis: &mut Redis, what: &str| match redis.try_ask(&["SENTINEL", what, MASTER]) {
            Some(Reply::Array(list)) => list.len(),
            _ => 0,
        };
        for port in self.ports {
            eventually("a sentinel knows the others", || {
                if TcpStream::connect(("127.0.0.1", port)).is_err() {
                    return false;
                }
                let mut redis = Redis::connect(port);
                count(&mut redis, "REPLICAS") == 1 && count(&mut redis, "SENTINELS") == 2
            });
        }
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
