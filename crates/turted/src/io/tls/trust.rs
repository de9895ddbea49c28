//! TLS as a client: which servers `turted push`, sources and questions to backends trust.
//!
//! The roots are the system's, as curl and openssl find them (`SSL_CERT_FILE` and `SSL_CERT_DIR`
//! included), so that a company's own authority counts on machines that know it. A list compiled into the
//! program would not know that one, and would never forget an authority that is no longer trusted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem;
use rustls::{CertificateError, ClientConfig, ConfigBuilder, InvalidMessage, RootCertStore};
use tokio_rustls::TlsConnector;

use super::{Tls, TlsError, read_chain, read_identity};

/// Why no server can be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The file with the certificates cannot be read.
    #[error("cannot read the certificates in {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// It holds something else than certificates.
    #[error("the certificates in {path} cannot be used: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The system knows no authority, as in an empty container.
    #[error("this system trusts no authority; name a file of certificates in `ca`")]
    NoRoots,
    /// The thread that should read them is gone: this program ends.
    #[error("the certificates were not read")]
    Unread,
    /// What we show to a broker cannot be used.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// The crypto provider has no protocol version, which happens in no build of ours; or certificate and key do not
    /// belong together.
    #[error(transparent)]
    Provider(#[from] rustls::Error),
}

/// A connector to servers that the certificates in `ca` vouch for; without `ca`, to those that the system
/// trusts.
pub(crate) fn connector(ca: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let mut config = trusting(ca)?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// The same for brokers, to which we show the certificate in `identity` if they ask for one.
pub(crate) fn broker_connector(
    ca: Option<&Path>,
    identity: Option<&Tls>,
) -> Result<TlsConnector, TrustError> {
    let trusting = trusting(ca)?;
    let config = match identity {
        None => trusting.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = read_identity(files)?;
            trusting.with_client_auth_cert(chain, key)?
        }
    };
    Ok(Arc::new(config).into())
}

/// Tells what to do about a failed TLS handshake.
pub(crate) fn explain(error: &io::Error) -> String {
    let refused = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match refused {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        )) => "its certificate is from no authority that is trusted here; name the authority with `ca`"
            .to_owned(),
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS".to_owned()
        }
        Some(refused) => refused.to_string(),
        None => error.to_string(),
    }
}

fn trusting(ca: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let roots = match ca {
        Some(path) => roots_in(path)?,
        None => roots_of_system()?,
    };
    let builder = ClientConfig::builder_with_provider(default_provider().into());
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots))
}

fn roots_in(path: &Path) -> Result<RootCertStore, TrustError> {
    let chain =
        read_chain(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in chain {
        roots.add(certificate).map_err(|source| TrustError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    // A certificate that cannot be read or used is left out; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TrustError::NoRoots) } else { Ok(roots) }
}
