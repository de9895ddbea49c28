//! The keys of `[cluster]` as they were written, and which of them mean something.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::files::{SecretSetting, TlsSettings};

/// What the names of keys in Redis begin with, unless the operator sets it.
const PREFIX: &str = "turted";

/// The keys of `[cluster]` as they were written.
#[derive(Clone, Debug)]
pub(in crate::config) struct ClusterSettings {
    pub(in crate::config) url: SecretSetting,
    pub(in crate::config) sentinels: Vec<String>,
    pub(in crate::config) master: Option<String>,
    pub(in crate::config) sentinel_user: Option<String>,
    pub(in crate::config) sentinel_password: SecretSetting,
    pub(in crate::config) ca: Option<PathBuf>,
    pub(in crate::config) prefix: String,
    pub(in crate::config) listen: SocketAddr,
    pub(in crate::config) advertise: Option<SocketAddr>,
    pub(in crate::config) secret_file: Option<PathBuf>,
    pub(in crate::config) replicas: usize,
    pub(in crate::config) tls: TlsSettings,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            url: SecretSetting::default(),
            sentinels: Vec::new(),
            master: None,
            sentinel_user: None,
            sentinel_password: SecretSetting::default(),
            ca: None,
            prefix: PREFIX.to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            secret_file: None,
            replicas: 0,
            tls: TlsSettings::default(),
        }
    }
}

/// Keys that say where Redis is. One of them alone means `log.store = "redis"`.
pub(super) const PLACE_KEYS: [&str; 3] = ["cluster.url", "cluster.url_file", "cluster.sentinels"];

type IsSet = fn(&ClusterSettings) -> bool;

/// Every key, and how to see that it has a value that means something.
const KEYS: [(&str, IsSet); 15] = [
    ("cluster.url", |cluster| cluster.url.text.is_some()),
    ("cluster.url_file", |cluster| cluster.url.file.is_some()),
    ("cluster.sentinels", |cluster| !cluster.sentinels.is_empty()),
    ("cluster.master", |cluster| cluster.master.is_some()),
    ("cluster.sentinel_user", |cluster| cluster.sentinel_user.is_some()),
    ("cluster.sentinel_password", |cluster| cluster.sentinel_password.text.is_some()),
    ("cluster.sentinel_password_file", |cluster| cluster.sentinel_password.file.is_some()),
    ("cluster.ca", |cluster| cluster.ca.is_some()),
    ("cluster.prefix", |cluster| cluster.prefix != PREFIX),
    ("cluster.listen", |cluster| cluster.listen != ClusterSettings::default().listen),
    ("cluster.advertise", |cluster| cluster.advertise.is_some()),
    ("cluster.secret_file", |cluster| cluster.secret_file.is_some()),
    ("cluster.replicas", |cluster| cluster.replicas != 0),
    ("cluster.tls_cert", |cluster| cluster.tls.cert.is_some()),
    ("cluster.tls_key", |cluster| cluster.tls.key.is_some()),
];

impl ClusterSettings {
    /// The keys that have a value which would mean something in a cluster.
    pub(super) fn set_keys(&self) -> impl Iterator<Item = &'static str> {
        KEYS.iter().filter(|(_, is_set)| is_set(self)).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::SETTINGS;

    #[test]
    fn every_key_of_the_section_is_here() {
        let keys: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        let all: Vec<_> =
            SETTINGS.iter().map(|setting| setting.key).filter(|key| key.starts_with("cluster.")).collect();
        assert_eq!(keys, all);
        assert_eq!(ClusterSettings::default().set_keys().count(), 0);
    }
}
