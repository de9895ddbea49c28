//! A real redis-server as a child process, on a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use turted_core::secret::Secret;
use turted_core::wire::resp::{Decoder, Reply};

use super::super::{ACL, RedisEngine, RedisEngineSettings, RedisServers};
use crate::engine::suite::Place;
use crate::io::broker::{Broker, BrokerTls};
use crate::io::redis::{Connection, RedisServer};

/// How long a server may take to start.
const STARTS: usize = 500;

/// A server, until the end of the test.
pub(super) struct Redis {
    pub(super) port: u16,
    pub(super) server: RedisServer,
    directory: TempDir,
    options: Vec<String>,
    process: Child,
}

/// A port that was free a moment ago, below those that connections get.
pub(super) fn free_port() -> u16 {
    let random = u16::from_le_bytes(rand_bytes());
    let ports = (0..20_000).map(|number| 10_000 + (random % 20_000 + number) % 20_000);
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let listener = ports.filter_map(listen).next().unwrap();
    listener.local_addr().unwrap().port()
}

fn rand_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

pub(super) fn local(port: u16) -> RedisServer {
    let broker = Broker { host: "127.0.0.1".to_owned(), port, user: None, password: None, tls: None };
    RedisServer { broker, database: 0, heartbeat: Duration::from_secs(10) }
}

impl Redis {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(options: &[&str]) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = spawn(port, directory.path(), &options);
        let redis = Self { port, server: local(port), directory, options, process };
        redis.wait().await;
        redis
    }

    /// One that speaks TLS beside.
    pub(super) async fn with_tls() -> Self {
        let (files, port) = (tempfile::tempdir().unwrap(), free_port().to_string());
        let [ca, cert, key] = issue(files.path());
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let (cert, key, authority) = (text(&cert), text(&key), text(&ca));
        let mut redis = Self::with(&[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ])
        .await;
        let broker = &mut redis.server.broker;
        (broker.host, broker.port) = ("localhost".to_owned(), port.parse().unwrap());
        broker.tls = Some(BrokerTls { ca: Some(ca), identity: None });
        // What is trusted is read with each connection.
        let _kept = files.keep();
        redis
    }

    /// One that has the user of the documentation, whom engines are then.
    pub(super) async fn with_acl() -> Self {
        let mut redis = Self::start().await;
        let user: Vec<_> =
            ["ACL", "SETUSER", "turted", "on", ">secret"].into_iter().chain(ACL.split(' ')).collect();
        redis.ask(&user).await;
        redis.server.broker.user = Some("turted".to_owned());
        redis.server.broker.password = Some(Secret::from("secret".to_owned()));
        redis
    }

    /// One of a Cluster that has no slot yet.
    pub(super) async fn with_no_slot() -> Self {
        // For the bus it would take the port 10,000 above its own, which a connection of another test may have.
        Self::with(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]).await
    }

    /// One that is a Cluster of its own.
    pub(super) async fn with_cluster() -> Self {
        let redis = Self::with_no_slot().await;
        redis.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
        for _ in 0..STARTS {
            let info = redis.ask(&["CLUSTER", "INFO"]).await.into_text().unwrap();
            if info.starts_with(b"cluster_state:ok") {
                return redis;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the Cluster has no state");
    }

    /// Makes it one Cluster with another.
    pub(super) async fn meet(&self, other: &Self) {
        let (port, bus_port) = (other.port.to_string(), other.options.last().unwrap());
        self.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus_port]).await;
    }

    async fn wait(&self) {
        for _ in 0..STARTS {
            if let Ok(mut connection) = Connection::open(&local(self.port), "test").await
                && connection.ask(["PING"]).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not answer");
    }

    /// Sends a command as who may do everything.
    pub(super) async fn try_ask(&self, command: &[&str]) -> Reply {
        let mut connection = self.admin().await;
        connection.add(command);
        connection.send().await.unwrap();
        connection.reply().await.unwrap()
    }

    /// Sends a command that succeeds.
    pub(super) async fn ask(&self, command: &[&str]) -> Reply {
        let reply = self.try_ask(command).await;
        assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
        reply
    }

    pub(super) async fn admin(&self) -> Connection {
        Connection::enter(&local(self.port), "admin", Decoder::default()).await.unwrap()
    }

    pub(super) fn settings(&self, process: u64) -> RedisEngineSettings {
        settings(RedisServers::One(self.server.clone()), process)
    }

    pub(super) fn engine(&self, process: u64) -> RedisEngine {
        RedisEngine::new(&self.settings(process))
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends it without a word.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends it without a word, and starts it again.
    pub(super) async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, self.directory.path(), &self.options);
        self.wait().await;
    }
}

pub(super) fn settings(servers: RedisServers, process: u64) -> RedisEngineSettings {
    RedisEngineSettings { servers, prefix: "turted".to_owned(), process, replicas: 0 }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(ca) = self.server.broker.tls.take().and_then(|tls| tls.ca) {
            let _ = std::fs::remove_dir_all(ca.parent().unwrap());
        }
    }
}

impl Place for Redis {
    type Engine = RedisEngine;

    async fn clear(&self) {
        self.ask(&["FLUSHALL"]).await;
        self.ask(&["SCRIPT", "FLUSH"]).await;
    }

    fn engine(&self, process: u64) -> RedisEngine {
        self.engine(process)
    }
}

fn spawn(port: u16, directory: &Path, options: &[String]) -> Child {
    // Another version of it, or Valkey.
    let program = std::env::var_os("TURTED_TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(directory)
        .args(["--save", "", "--loglevel", "warning", "--repl-diskless-sync-delay", "0"])
        .args(options)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server (Debian package redis-server)")
}

/// An authority, and a certificate of it with its key.
fn issue(directory: &Path) -> [PathBuf; 3] {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let cert = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    [write("ca.pem", root.pem()), write("cert.pem", cert.pem()), write("key.pem", key.serialize_pem())]
}
