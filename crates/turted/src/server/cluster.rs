//! This server's place in a cluster: its settings for the cluster thread.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use turted_core::limits::CLUSTER_TARGETS_MAX;
use turted_core::name::Name;
use turted_core::push::PushLimits;
use turted_core::secret::Secret;

use super::error::ServerError;
use super::node::Door;
use crate::config::{self, ClusterConfig, ClusterTls, Config};
use crate::engine::redis::{RedisEngine, RedisEngineSettings};
use crate::hub::client::claim;
use crate::hub::cluster::claims::{Claims, Question};
use crate::hub::cluster::peers::{PeerTls, Peers};
use crate::hub::cluster::proof::Proof;
use crate::hub::cluster::rules::Rules;
use crate::hub::cluster::settings::Settings;
use crate::hub::cluster::{ClusterThread, NotStarted, start};
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::Peers as Boxes;
use crate::io::tls::{self, Certificates};

/// Where other nodes call this one, if it is one of a cluster, and the questions of those who pass requests on.
///
/// # Errors
/// The certificate of the cluster cannot be used.
pub(super) fn door(
    config: &Config,
    given: Option<Door>,
) -> Result<(Option<Door>, Option<mpsc::Receiver<Question>>), ServerError> {
    let (Some(cluster), None) = (&config.cluster, &given) else { return Ok((given, None)) };
    let tls = cluster.tls.as_ref().map(peer_tls).transpose()?;
    let (claims, questions) = Claims::new();
    let peers = Peers::new(&secrets(cluster), tls, claims);
    Ok((Some(Door { peers, listen: cluster.listen }), Some(questions)))
}

/// The secrets of the nodes. Without any no other machine reaches them: one of the prefix keeps apart those of two clusters.
fn secrets(cluster: &ClusterConfig) -> Vec<Secret> {
    match &*cluster.secrets {
        [] => vec![Secret::from(format!("turted cluster {}", cluster.prefix))],
        secrets => secrets.to_vec(),
    }
}

fn peer_tls(tls: &ClusterTls) -> Result<PeerTls, ServerError> {
    let connector =
        tls::connector(tls.ca.as_deref()).map_err(|error| ServerError::Cluster(error.to_string()))?;
    Ok(PeerTls { connector, certificates: Certificates::load(&tls.identity)? })
}

/// Joins the cluster of the configuration, if there is one: waits until this node has read all that the log keeps, however
/// long Redis is away. `address` is where other nodes call it.
///
/// # Errors
/// Redis cannot be used as it is, or there is no thread.
pub(super) fn join(
    (config, address): (&Config, Option<SocketAddr>),
    dispatcher: &Dispatcher,
    (shared, boxes, questions): (&Arc<Shared>, &Boxes, Option<mpsc::Receiver<Question>>),
) -> Result<Option<ClusterThread>, ServerError> {
    let Some((cluster, questions)) = config.cluster.as_ref().zip(questions) else { return Ok(None) };
    let process = getrandom::u64().map_err(|_| ServerError::Random)?;
    let engine = RedisEngineSettings::of(cluster, process);
    let version =
        Name::new(env!("CARGO_PKG_VERSION")).map_err(|error| ServerError::Cluster(error.to_string()))?;
    let settings = Settings {
        number: Default::default(),
        process,
        version,
        advertise: cluster.advertise.or(address),
        rules: rules(config, cluster),
        key_age: config.limits.idempotency_age,
        replicas: cluster.replicas,
        // Another node may allow any expansion; an entry is bounded by its bytes.
        limits: PushLimits { targets: CLUSTER_TARGETS_MAX, dispatches: 1, expansion_bytes: usize::MAX },
        proof: Proof::new(&secrets(cluster)),
        peers: shared.nodes.clone(),
    };
    let not_started = |error: NotStarted| ServerError::Cluster(error.to_string());
    let (joined, begun) = start(move || RedisEngine::new(&engine), settings, (dispatcher.feed(), questions))
        .map_err(not_started)?;
    // Operators see what it waits for.
    let is_first = shared.cluster.set(joined.cluster().clone()).is_ok();
    debug_assert!(is_first, "a server is one node");
    begun.wait().map_err(not_started)?;
    dispatcher.begin_feed();
    // A circle of owners would keep it all.
    let counted = Arc::downgrade(shared);
    let count = move || counted.upgrade().map_or(0, |shared| shared.sockets());
    joined.cluster().status().count_connections_by(count);
    shared.presence.begin_exchange();
    if config.recovery.enabled {
        claim::begin(shared, boxes, (joined.cluster(), config.recovery.max_age));
    }
    let (told, boxes) = (Arc::downgrade(shared), Arc::clone(boxes));
    joined.cluster().status().hear_by(move |from, told_by| {
        if let Some(shared) = told.upgrade() {
            claim::hear(&shared, &boxes, from, told_by);
        }
    });
    Ok(Some(joined))
}

/// The rules that all nodes should have alike. Without a secret of the cluster anybody can make one of its digests.
fn rules(config: &Config, cluster: &ClusterConfig) -> Rules {
    let rules = config::rules(config);
    let rules = rules.iter().map(|rule| (rule.key, &rule.value, rule.is_secret));
    Rules::new(rules, &secrets(cluster), cluster.secrets.is_empty())
}
