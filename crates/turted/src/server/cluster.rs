//! This server's place in a cluster: its settings for the cluster thread.

use std::hash::{DefaultHasher, Hash, Hasher};

use turted_core::limits::EXPANSION_BYTES_MAX;
use turted_core::name::Name;
use turted_core::push::PushLimits;

use super::error::ServerError;
use crate::config::Config;
use crate::engine::redis::{RedisEngine, RedisEngineSettings};
use crate::hub::cluster::settings::Settings;
use crate::hub::cluster::{self, ClusterThread};
use crate::hub::dispatch::dispatcher::Dispatcher;

/// Targets that a dispatch of another node may have.
const TARGETS_MOST: usize = 100_000;

/// Joins the cluster of the configuration, if there is one: waits until this node has read all that the log keeps, however
/// long Redis is away.
///
/// # Errors
/// Redis cannot be used as it is, or there is no thread.
pub(super) fn join(config: &Config, dispatcher: &Dispatcher) -> Result<Option<ClusterThread>, ServerError> {
    let Some(cluster) = &config.cluster else { return Ok(None) };
    let process = getrandom::u64().map_err(|_| ServerError::Random)?;
    let engine = RedisEngineSettings::of(cluster, process);
    let version =
        Name::new(env!("CARGO_PKG_VERSION")).map_err(|error| ServerError::Cluster(error.to_string()))?;
    let settings = Settings {
        number: Default::default(),
        process,
        version,
        advertise: cluster.advertise,
        rules: rules(config),
        replicas: cluster.replicas,
        // Another node may allow more; an entry is bounded by its bytes.
        limits: PushLimits {
            targets: TARGETS_MOST,
            dispatches: 1,
            expansion_bytes: EXPANSION_BYTES_MAX.max(config.limits.expansion_bytes),
        },
    };
    let started = cluster::start(move || RedisEngine::new(&engine), settings, dispatcher.feed());
    started.map(Some).map_err(|error| ServerError::Cluster(error.to_string()))
}

/// The rules that all nodes should have alike, by the sections of the configuration, as digests.
fn rules(config: &Config) -> Vec<(Name, u64)> {
    let rules: [(&str, &dyn std::fmt::Debug); 6] = [
        ("auth", &config.auth),
        ("channels", &config.channels),
        ("history", &config.history),
        ("limits", &config.limits),
        ("presence", &config.presence),
        ("recovery", &config.recovery),
    ];
    let digest = |rule: &dyn std::fmt::Debug| {
        // The same program makes the same number of the same text; a secret is not in it.
        let mut hasher = DefaultHasher::new();
        format!("{rule:?}").hash(&mut hasher);
        hasher.finish()
    };
    rules.into_iter().filter_map(|(name, rule)| Some((Name::new(name).ok()?, digest(rule)))).collect()
}
