//! Secrets and certificates as they were written: what stands in files of its own.

use std::path::PathBuf;

use turted_core::secret::Secret;

/// `tls_cert` and `tls_key` as they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsSettings {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// A secret that may be written down here or in a file of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretSetting {
    pub(super) text: Option<Secret>,
    pub(super) file: Option<PathBuf>,
}
