//! Three sentinels that watch one master.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use turted_core::wire::resp::Reply;

use crate::support::redis::Redis;
use crate::support::{eventually, ports};

pub(crate) const MASTER: &str = "main";

pub(crate) struct Sentinels {
    ports: [u16; 3],
    processes: Vec<Child>,
    /// Where they keep their configuration, which they write themselves.
    _directory: TempDir,
}

impl Sentinels {
    /// Sentinels of the master on this port. A master that does not answer for half a second is down.
    pub(crate) fn watch(master: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports = ports::free();
        let start = |port: u16| {
            let file = directory.path().join(format!("{port}.conf"));
            let lines = [
                format!("port {port}"),
                "bind 127.0.0.1".to_owned(),
                format!("sentinel monitor {MASTER} 127.0.0.1 {master} 2"),
                format!("sentinel down-after-milliseconds {MASTER} 500"),
                format!("sentinel failover-timeout {MASTER} 3000"),
            ];
            fs::write(&file, lines.join("\n")).unwrap();
            Command::new("redis-sentinel")
                .arg(file)
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-sentinel (Debian package redis-sentinel)")
        };
        let processes = ports.map(start).into();
        Self { ports, processes, _directory: directory }
    }

    /// Where they are, as the configuration of a node has them.
    pub(crate) fn addresses(&self) -> String {
        self.ports.map(|port| format!("127.0.0.1:{port}")).join(",")
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

    pub(crate) fn ports(&self) -> [u16; 3] {
        self.ports
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
