//! The server of Redis that nodes have their log in, in the form that the environment asks for.
//!
//! `TURTED_TEST_REDIS` is any of `tls`, `acl` and `cluster`, with commas between: nodes come over TLS, as the user of the
//! documentation, to a Redis Cluster. Tests themselves come without TLS, as who may do everything.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;
use turted_core::wire::resp::Reply;

use crate::support::authority::Authority;
use crate::support::eventually;
use crate::support::ports;
use crate::support::redis::RedisServer;

/// Prefixes of clusters, of which each has a user of this name.
const PREFIXES: [&str; 2] = ["turted", "other"];
const HOST: &str = "127.0.0.1";

/// The name of the file of a clock.
const CLOCK: &str = "clock";

static TRUST: Mutex<Weak<Trust>> = Mutex::new(Weak::new());

/// A server, until the end of the test.
pub(crate) struct Server {
    redis: RedisServer,
    /// Where it speaks TLS, and with what.
    tls: Option<(u16, Arc<Trust>)>,
    /// Where the file is that says how its clock differs from ours.
    clock: Option<TempDir>,
}

/// Whether the environment asks for this.
pub(super) fn is_asked(form: &str) -> bool {
    const FORMS: [&str; 3] = ["tls", "acl", "cluster"];
    let asked = std::env::var("TURTED_TEST_REDIS").unwrap_or_default();
    let mut asked = asked.split(',').filter(|asked| !asked.is_empty());
    asked.clone().for_each(|asked| assert!(FORMS.contains(&asked), "TURTED_TEST_REDIS: {asked}"));
    asked.any(|asked| asked == form)
}

/// What servers of a test speak TLS with. All of them show one certificate: tests run side by side, and the files of another
/// one would take the place of those that a server reads at the moment.
pub(super) struct Trust {
    authority: Authority,
    cert: PathBuf,
    key: PathBuf,
}

pub(super) fn trust() -> Arc<Trust> {
    let mut known = TRUST.lock().unwrap();
    known.upgrade().unwrap_or_else(|| {
        let authority = Authority::new();
        let (cert, key) = authority.issue(HOST);
        let trust = Arc::new(Trust { authority, cert, key });
        *known = Arc::downgrade(&trust);
        trust
    })
}

impl Trust {
    /// Who vouches for the servers.
    fn ca(&self) -> PathBuf {
        self.authority.path("ca.pem")
    }

    /// What a server is told that speaks TLS on this port: names and values.
    pub(super) fn options(&self, port: u16) -> Vec<(&'static str, String)> {
        let ca = self.ca();
        let files = [("tls-cert-file", &self.cert), ("tls-key-file", &self.key), ("tls-ca-cert-file", &ca)];
        let files = files.map(|(name, path)| (name, path.to_str().unwrap().to_owned()));
        let mut options = vec![("tls-port", port.to_string()), ("tls-auth-clients", "no".to_owned())];
        options.extend(files);
        options
    }
}

/// What has libfaketime (Debian package `faketime`) set the clock of a program by a file in this directory. It needs memory before
/// jemalloc has asked for the time, so the program has that of libc.
fn set_by(directory: &TempDir) -> Vec<(String, String)> {
    let file = directory.path().join(CLOCK);
    fs::write(&file, "+0").unwrap();
    let variables = [
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1 libc.so.6"),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The rights of the documentation, for a cluster with this prefix.
fn rights(prefix: &str) -> String {
    let docs = include_str!("../../../../../docs/cluster.md");
    let rights = docs.lines().find_map(|line| line.strip_prefix("ACL SETUSER turted ")).expect("a line");
    rights.replace("turted", prefix)
}

impl Server {
    /// A server with these further options.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::start(options, is_asked("cluster"), None)
    }

    /// A server whose clock can be set.
    pub(crate) fn with_clock(options: &[&str]) -> Self {
        Self::start(options, is_asked("cluster"), Some(tempfile::tempdir().unwrap()))
    }

    /// A server that has replicas, or is one. Replicas of a Cluster are promoted by the Cluster, so it is none.
    pub(crate) fn replicated(options: &[&str]) -> Self {
        Self::start(options, false, None)
    }

    /// A server that sentinels watch, or a replica of one. Over TLS, they and its replicas come by TLS as well.
    pub(crate) fn watched(options: &[&str]) -> Self {
        let replication: &[&str] = if is_asked("tls") { &["--tls-replication", "yes"] } else { &[] };
        Self::start(&[replication, options].concat(), false, None)
    }

    fn start(options: &[&str], is_cluster: bool, clock: Option<TempDir>) -> Self {
        let mut all: Vec<String> = Vec::new();
        let [tls_port, bus_port] = ports::free();
        let tls = is_asked("tls").then(|| (tls_port, trust()));
        if let Some((port, trust)) = &tls {
            let options = trust.options(*port);
            all.extend(options.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]));
        }
        if is_asked("acl") {
            for prefix in PREFIXES {
                all.extend(["--user", prefix].map(str::to_owned));
                all.extend(rights(prefix).split(' ').map(str::to_owned));
            }
        }
        if is_cluster {
            all.extend(["--cluster-enabled", "yes", "--cluster-port"].map(str::to_owned));
            all.push(bus_port.to_string());
        }
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        let variables = clock.as_ref().map(set_by).unwrap_or_default();
        let redis = RedisServer::with_variables(&all, variables);
        if is_cluster {
            redis.client().ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
            eventually("the Cluster has all slots", || {
                let info = redis.client().ask(&["CLUSTER", "INFO"]);
                matches!(info, Reply::Text(info) if info.starts_with(b"cluster_state:ok"))
            });
        }
        Self { redis, tls, clock }
    }

    /// Sets its clock so far from ours: `-2d`, say. It is so within a second.
    pub(crate) fn set_clock(&self, by: &str) {
        let directory = self.clock.as_ref().expect("a server with a clock");
        fs::write(directory.path().join(CLOCK), by).unwrap();
    }

    /// The port that nodes come to.
    pub(crate) fn node_port(&self) -> u16 {
        self.tls.as_ref().map_or_else(|| self.redis.port(), |(port, _)| *port)
    }

    /// What a node with this prefix and database is told, if it comes over this port.
    pub(crate) fn variables(&self, (prefix, database): (&str, u32), port: u16) -> Vec<(String, String)> {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let user = if is_asked("acl") { format!("{prefix}:PASSWORD@") } else { String::new() };
        let mut variables =
            vec![("TURTED_CLUSTER_URL".to_owned(), format!("{scheme}://{user}{HOST}:{port}/{database}"))];
        if let Some((_, trust)) = &self.tls {
            let file = trust.ca().to_str().unwrap().to_owned();
            variables.push(("TURTED_CLUSTER_CA".to_owned(), file));
        }
        variables
    }
}

impl Deref for Server {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.redis
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut RedisServer {
        &mut self.redis
    }
}
