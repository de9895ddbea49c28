//! The cluster as the rest of the program reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::RedisServer;
use crate::config::push_sources::servers::redis_address;
use crate::io::tls::Tls;
use turted_core::secret::Secret;

/// `[cluster]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The server of Redis that has the log. With sentinels its host and its port mean nothing.
    pub server: RedisServer,
    /// Who is asked where the server is. Default: nobody, it is where `server` says.
    pub sentinels: Option<Sentinels>,
    /// What the names of all keys and channels in Redis begin with. Default: `turted`.
    pub prefix: String,
    /// Where other nodes reach this one; port 0 takes any free one. Default: a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// What other nodes call to reach it. Default: where it listens.
    pub advertise: Option<SocketAddr>,
    /// What nodes prove each other. This node signs with the first, and accepts all. There is none only where no other
    /// machine can reach this node.
    pub secrets: Vec<Secret>,
    /// Replicas of Redis that must have a push before it is answered. Default: 0.
    pub replicas: u32,
    /// TLS between nodes. Default: none.
    pub tls: Option<ClusterTls>,
}

impl ClusterConfig {
    /// Where its log is, without user and password.
    #[must_use]
    pub fn redis(&self) -> String {
        match &self.sentinels {
            None => redis_address(&self.server),
            Some(sentinels) => format!("the master {} of Sentinel", sentinels.master),
        }
    }
}

/// Servers that know which server of Redis is the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// All are asked, by one user with one password.
    pub servers: Vec<RedisServer>,
    /// The name under which they know the master.
    pub master: String,
}

/// TLS between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTls {
    /// What this node shows the nodes that call it.
    pub identity: Tls,
    /// The PEM file of the authorities that vouch for other nodes. Default: those of the system.
    pub ca: Option<PathBuf>,
}
