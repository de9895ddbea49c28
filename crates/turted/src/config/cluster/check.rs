//! What the keys of `[cluster]` mean together.

use std::net::SocketAddr;
use std::path::Path;

use super::keys::{ClusterSettings, PLACE_KEYS};
use super::model::{ClusterConfig, ClusterTls};
use super::redis;
use crate::config::addresses::collide;
use crate::config::choices::show_choice;
use crate::config::collect::Collected;
use crate::config::credentials::{read_secret, warn_if_readable};
use crate::config::error::Problem;
use crate::config::log::{LogStore, StoreChoice};
use crate::config::{BrokerTls, RedisServer};
use crate::io::tls::{self, Certificates, Tls, TlsError};
use turted_core::limits::{CLUSTER_PUSH_BODY_BYTES_MAX, CLUSTER_TARGETS_MAX};
use turted_core::secret::Secret;

/// Bytes of a prefix, which is part of the name of every key.
const PREFIX_BYTES_MAX: usize = 64;
/// A shorter secret can be guessed from one signature, with time and a fast machine.
const SECRET_BYTES_MIN: usize = 16;
/// The old secret and the new one, while it is changed.
const SECRETS_MAX: usize = 2;

/// Lets a place of Redis alone mean that the log is there, so that one line is enough.
pub(in crate::config) fn infer_store(collected: &mut Collected) {
    if collected.is_given("log.store") || collected.is_given("log.directory") {
        return;
    }
    if let Some(key) = PLACE_KEYS.iter().find(|key| collected.is_given(key)) {
        collected.settings.log.store = StoreChoice::Redis;
        let origin = collected.origin(key);
        collected.infer("log.store", origin);
    }
}

/// Fills `cluster` of the configuration, or refuses keys that mean nothing without one.
pub(in crate::config) fn resolve(collected: &mut Collected) {
    let settings = collected.settings.cluster.clone();
    if collected.settings.log.store != StoreChoice::Redis {
        return refuse_idle_keys(collected, &settings);
    }
    collected.settings.config.log = LogStore::Redis;
    if !cfg!(feature = "redis") {
        let what = "`log.store` = \"redis\": this program was built without the feature \"redis\"";
        return collected.problem(Problem::at(collected.source("log.store"), what));
    }
    check_limits(collected);
    collected.settings.config.cluster = cluster(collected, &settings);
}

/// What a push may have is bounded by what every node reads of an entry.
fn check_limits(collected: &mut Collected) {
    let limits = &collected.settings.config.limits;
    let checks = [
        ("limits.push_body_bytes", limits.push_body_bytes, CLUSTER_PUSH_BODY_BYTES_MAX),
        ("limits.targets", limits.targets, CLUSTER_TARGETS_MAX),
    ];
    for (key, found, most) in checks {
        if found > most {
            let what =
                format!("`{key}` = {found} is above {most}: no node of a cluster reads more of one dispatch");
            collected.blame(&[key], what);
        }
    }
}

fn refuse_idle_keys(collected: &mut Collected, settings: &ClusterSettings) {
    if collected.is_broken(&["log.store", "log.directory", "cluster"]) {
        return;
    }
    let store = show_choice(collected.settings.log.store);
    for key in settings.set_keys() {
        let what = format!("`{key}` has no effect with `log.store` = {store}");
        collected.problem(Problem::at(collected.origin(key), what));
    }
}

fn cluster(collected: &mut Collected, settings: &ClusterSettings) -> Option<ClusterConfig> {
    let place = redis::resolve(collected, settings);
    check_prefix(collected, settings);
    check_addresses(collected, settings);
    let secrets = secrets(collected, settings);
    let tls = check_tls(collected, settings, place.as_ref().map(|(server, _)| server));
    let (mut server, mut sentinels) = place?;
    let tls = tls?;
    if server.broker.tls.is_some() {
        let trust =
            BrokerTls { ca: settings.ca.clone(), identity: tls.as_ref().map(|tls| tls.identity.clone()) };
        for sentinel in sentinels.iter_mut().flat_map(|sentinels| &mut sentinels.servers) {
            sentinel.broker.tls = Some(trust.clone());
        }
        server.broker.tls = Some(trust);
    }
    Some(ClusterConfig {
        server,
        sentinels,
        prefix: settings.prefix.clone(),
        listen: settings.listen,
        advertise: settings.advertise,
        secrets: secrets?,
        // The key says that it is a small number.
        replicas: u32::try_from(settings.replicas).unwrap_or(u32::MAX),
        tls,
    })
}

fn check_prefix(collected: &mut Collected, settings: &ClusterSettings) {
    let prefix = &settings.prefix;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(plain) {
        let what = format!(
            r#"`cluster.prefix`: expected at most {PREFIX_BYTES_MAX} letters, digits, "-", "_", "." and ":", found {prefix:?}"#
        );
        collected.blame(&["cluster.prefix"], what);
    }
}

fn check_addresses(collected: &mut Collected, settings: &ClusterSettings) {
    let (listen, advertise) = ("cluster.listen", "cluster.advertise");
    match settings.advertise {
        None if settings.listen.ip().is_unspecified() => {
            let what = format!(
                "`cluster.listen` = \"{}\" needs `cluster.advertise`: the address of this machine that other nodes call",
                settings.listen
            );
            collected.blame(&[listen, advertise], what);
        }
        Some(address) if address.ip().is_unspecified() || address.port() == 0 => {
            let what = format!(
                "`cluster.advertise` = \"{address}\" cannot be called: expected the address and the port of one machine"
            );
            collected.blame(&[advertise], what);
        }
        _ => {}
    }
    let config = &collected.settings.config;
    let others = [("listen", Some(config.listen)), ("admin_listen", config.admin.listen.address())];
    for (key, other) in others {
        if let Some(other) = other.filter(|other| collide(*other, settings.listen)) {
            let what = format!(
                "`cluster.listen` = \"{}\" is where `{key}` = \"{other}\" is; choose another port",
                settings.listen
            );
            collected.blame(&[listen, key], what);
        }
    }
}

/// `None` if something is wrong with them.
fn secrets(collected: &mut Collected, settings: &ClusterSettings) -> Option<Vec<Secret>> {
    let key = "cluster.secret_file";
    let Some(path) = &settings.secret_file else {
        let is_near = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        if let (false, _) | (_, Some(false)) = (is_near(settings.listen), settings.advertise.map(is_near)) {
            let what = "other machines can reach `cluster.listen`: that needs `cluster.secret_file`, the same on all \
                        nodes, such as the output of: openssl rand -base64 24";
            collected.blame(&["cluster.listen", "cluster.advertise", key], what.to_owned());
            return None;
        }
        return Some(Vec::new());
    };
    warn_if_readable(collected, path);
    match read_secrets(path) {
        Ok(secrets) => Some(secrets),
        Err(fault) => {
            collected.blame(&[key], format!("`{key}`: {fault}"));
            None
        }
    }
}

fn read_secrets(path: &Path) -> Result<Vec<Secret>, String> {
    let text = read_secret(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let secrets: Vec<_> = text.reveal().lines().map(Secret::from).collect();
    if secrets.is_empty() || secrets.len() > SECRETS_MAX {
        return Err(format!(
            "{} has {} lines: expected one secret, or two while it is changed",
            path.display(),
            secrets.len()
        ));
    }
    match secrets.iter().any(|secret| secret.reveal().len() < SECRET_BYTES_MIN) {
        true => Err(format!(
            "a line of {} has less than {SECRET_BYTES_MIN} bytes and can be guessed",
            path.display()
        )),
        false => Ok(secrets),
    }
}

/// TLS between nodes, which is also what this node shows Redis. `None` if something is wrong.
fn check_tls(
    collected: &mut Collected,
    settings: &ClusterSettings,
    server: Option<&RedisServer>,
) -> Option<Option<ClusterTls>> {
    let (cert, key) = ("cluster.tls_cert", "cluster.tls_key");
    let identity = match (&settings.tls.cert, &settings.tls.key) {
        (Some(cert), Some(key)) => Some(Tls { cert: cert.clone(), key: key.clone() }),
        (None, None) => None,
        (given, _) => {
            let keys = if given.is_some() { [cert, key] } else { [key, cert] };
            collected.blame(&keys, format!("`{}` needs `{}`", keys[0], keys[1]));
            return None;
        }
    };
    if let Some(identity) = &identity {
        warn_if_readable(collected, &identity.key);
        if let Err(error) = Certificates::load(identity) {
            let name = if matches!(error, TlsError::Key { .. }) { key } else { cert };
            collected.blame(&[name], format!("`{name}`: {error}"));
            return None;
        }
    }
    if let Some(ca) = &settings.ca {
        let is_plain = server.is_some_and(|server| server.broker.tls.is_none());
        let what = match tls::connector(Some(ca)) {
            _ if is_plain && identity.is_none() => Some(
                "`cluster.ca` has no effect without TLS: `cluster.url` begins with rediss:// then, or nodes have \
                 `cluster.tls_cert`"
                    .to_owned(),
            ),
            Err(error) => Some(format!("`cluster.ca`: {error}")),
            Ok(_) => None,
        };
        if let Some(what) = what {
            collected.blame(&["cluster.ca"], what);
            return None;
        }
    }
    Some(identity.map(|identity| ClusterTls { identity, ca: settings.ca.clone() }))
}
