//! Which backends are trusted over TLS. Reading that blocks, so it happens on a thread for such work, and not for each
//! connection.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;

use crate::io::tls::{self, TrustError};

/// How long what was read counts. Authorities change in years; an operator who exchanges one waits no longer than this.
const AGE_MAX: Duration = Duration::from_secs(60);

/// The authorities that vouch for a backend: those of a file, or those of the system.
pub(super) struct Trust {
    ca: Option<PathBuf>,
    /// Locked to look, never while reading.
    known: Mutex<Option<Known>>,
    /// Has one place: what many connections need is read once.
    reading: Semaphore,
}

struct Known {
    connector: TlsConnector,
    read_at: Instant,
}

impl Trust {
    pub(super) fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, known: Mutex::default(), reading: Semaphore::new(1) }
    }

    /// What connections are secured with. Cancel safe.
    pub(super) async fn connector(&self) -> Result<TlsConnector, TrustError> {
        if let Some(connector) = self.known() {
            return Ok(connector);
        }
        // The semaphore is never closed: without a place it would only be read once more.
        let _place = self.reading.acquire().await.ok();
        if let Some(connector) = self.known() {
            return Ok(connector);
        }
        let ca = self.ca.clone();
        let read = spawn_blocking(move || tls::connector(ca.as_deref())).await;
        let connector = read.map_err(|_| TrustError::Unread)??;
        let known = Known { connector: connector.clone(), read_at: Instant::now() };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(connector)
    }

    fn known(&self) -> Option<TlsConnector> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.read_at.elapsed() < AGE_MAX)?;
        Some(known.connector.clone())
    }
}
