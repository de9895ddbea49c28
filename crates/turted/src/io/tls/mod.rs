//! TLS: the certificate, how it changes while connections live, and which servers we trust as a client.
//!
//! One crypto provider, aws-lc-rs, is named wherever one is needed; nothing relies on a provider
//! that was installed for the whole process.
//!
//! | file | what |
//! |---|---|
//! | `record_layer` | the records of one connection, without a socket |
//! | `session` | one connection and its socket: reads and writes that never wait |
//! | `stream` | the same for hyper; the handshake |
//! | `trust` | TLS as a client: which servers we trust |
//! | `tests` | a client of rustls, whose bytes come in pieces |

mod record_layer;
mod session;
mod stream;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) use record_layer::HANDSHAKE;
pub(crate) use session::TlsSession;
pub(crate) use stream::{AcceptError, TlsStream};
pub(crate) use trust::{TrustError, broker_connector, connector, explain};

/// The files of a certificate: `tls_cert` and `tls_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The PEM file of the certificate and those between it and the root, in this order.
    pub cert: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
}

/// HTTP/2 in the TLS handshake (RFC 9113 3.1).
const HTTP2: &[u8] = b"h2";

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("cannot read the certificates in {path}: {source}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key cannot be read.
    #[error("cannot read the key in {path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate and key of a server, read anew by [`reload`](Self::reload).
#[derive(Clone, Debug)]
pub struct Certificates {
    files: Tls,
    /// Read once per connection, written by [`reload`](Self::reload).
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// They hold no certificate and key that belong together.
    pub fn load(files: &Tls) -> Result<Self, TlsError> {
        let current = Arc::new(RwLock::new(read(files)?));
        Ok(Self { files: files.clone(), current })
    }

    /// Reads the files again: handshakes from now on show what they hold, connections that exist
    /// go on. Blocks on the file system.
    ///
    /// # Errors
    /// They hold no certificate and key that belong together; the old ones stay in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What a handshake that starts now has to use.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything a handshake needs. Tickets belong to it: after a change of the certificate no client resumes a
/// session that was made under the old one.
fn read(files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = read_identity(files)?;
    let provider = default_provider().into();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    // Clients that all come back at once resume without a signature, on any worker; nothing is kept for clients
    // that do not come back.
    config.ticketer = Ticketer::new()?;
    // One is enough: a client that comes back gets another one.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn read_identity(files: &Tls) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = read_chain(&files.cert)
        .map_err(|source| TlsError::Certificates { path: files.cert.clone(), source })?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    Ok((chain, key))
}

/// The certificates in a PEM file, at least one.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect)?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

#[cfg(test)]
mod tests;
