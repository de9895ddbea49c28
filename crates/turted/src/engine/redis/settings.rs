//! From the section `cluster` of the configuration to the engine.

use super::{RedisEngineSettings, RedisServers};
use crate::config::ClusterConfig;

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
        Self { servers, prefix: cluster.prefix.clone(), process }
    }
}
