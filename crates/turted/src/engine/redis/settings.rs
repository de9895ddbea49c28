//! Where the server is, and what keys are called.

use crate::config::ClusterConfig;
use crate::io::redis::RedisServer;

/// Settings of the engine.
#[derive(Clone, Debug)]
pub(crate) struct RedisEngineSettings {
    pub(crate) servers: RedisServers,
    /// What all keys and channels begin with, in braces.
    pub(crate) prefix: String,
    /// This process: what it owns has this number.
    pub(crate) process: u64,
    /// How many replicas it has to have.
    pub(crate) replicas: u32,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) enum RedisServers {
    One(RedisServer),
    Sentinel {
        sentinels: Vec<RedisServer>,
        /// The name of the master.
        master: String,
        /// Who we are there. Host and port are those that the Sentinels say.
        server: RedisServer,
    },
}

impl RedisServers {
    /// The database, which is the same on all servers.
    pub(super) fn database(&self) -> u32 {
        let (Self::One(server) | Self::Sentinel { server, .. }) = self;
        server.database
    }
}

impl RedisEngineSettings {
    /// The engine of this cluster, for a process with this random number.
    pub(crate) fn of(cluster: &ClusterConfig, process: u64) -> Self {
        let server = cluster.server.clone();
        let servers = match cluster.sentinels.clone() {
            None => RedisServers::One(server),
            Some(sentinels) => {
                RedisServers::Sentinel { sentinels: sentinels.servers, master: sentinels.master, server }
            }
        };
        Self { servers, prefix: cluster.prefix.clone(), process, replicas: cluster.replicas }
    }
}
