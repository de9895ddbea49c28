//! Where a broker is, and who we are there.

use std::fmt;
use std::path::PathBuf;

use super::tls::Tls;
use turted_core::secret::Secret;

/// A broker, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user, if one is named.
    pub user: Option<String>,
    /// The password, if there is one.
    pub password: Option<Secret>,
    /// Whether TLS is spoken, and whom it trusts.
    pub tls: Option<BrokerTls>,
}

/// TLS with a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// The PEM file of the authorities that are trusted. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the broker, if it asks for one.
    pub identity: Option<Tls>,
}

impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}
