//! Sessions of before this start, and where those of this start are recorded.
//!
//! It takes two steps. The log begins between them: if it begins a new epoch, its numbers are above all that sessions
//! name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::ServerError;
use crate::auth::{Authenticator, unix_now};
use crate::config::{ClientAuth, Config, LogSync};
use crate::hub::worker::sessions::{Found, GROWTH_BYTES_MIN, Place, Verification};
use crate::hub::worker::shared::Shared;

/// How this server verifies who clients are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verifier<'a> {
    /// By a part of the embedding program.
    Embedded,
    Configured(&'a ClientAuth),
}

impl<'a> Verifier<'a> {
    /// What a server with this configuration has.
    pub(super) fn of(authenticator: Option<&Arc<dyn Authenticator>>, config: &'a Config) -> Self {
        match authenticator {
            Some(_) => Self::Embedded,
            None => Self::Configured(&config.auth.method),
        }
    }
}

/// What a start has found of sessions.
pub(super) struct FoundSessions {
    verification: Verification,
    found: Found,
}

/// Where the sessions of this start are recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home<'a> {
    pub(super) directory: &'a Path,
    pub(super) epoch: u64,
    pub(super) sync: LogSync,
}

impl FoundSessions {
    /// Reads the sessions in the directory of the log.
    ///
    /// # Errors
    /// A file cannot be read, or a later version of turted wrote it.
    pub(super) fn read(
        config: &Config,
        verifier: Verifier<'_>,
        directory: &Path,
    ) -> Result<Self, ServerError> {
        let verification = match verifier {
            Verifier::Embedded => Verification::embedded(),
            Verifier::Configured(method) => Verification::of(method),
        };
        let mut found = Found::read(directory, &verification).map_err(ServerError::Sessions)?;
        if !config.recovery.enabled {
            // Nor may a later start take over what this one does not keep up to date.
            found.disbelieve("recovery.enabled = false");
        }
        found.leave_forbidden(&config.channels);
        Ok(Self { verification, found })
    }

    /// Gives up what was found: by what the log says, it may not be all there was.
    pub(super) fn disbelieve(&mut self, reason: &str) {
        self.found.disbelieve(reason);
    }

    /// The highest number of a dispatch that they name.
    pub(super) fn number(&self) -> u64 {
        self.found.number
    }

    /// Lets clients come back to what was found, and records from now on what becomes of sessions. If the log has
    /// `failed`, or the disk fails now, sessions are in memory alone.
    ///
    /// # Errors
    /// The directory may not be written.
    pub(super) fn begin(
        self,
        shared: &Shared,
        home: Home<'_>,
        failed: Option<&io::Error>,
    ) -> Result<(), ServerError> {
        let Self { verification, found } = self;
        let Home { directory, epoch, sync } = home;
        let place = Place { directory, epoch, sync, growth_bytes_min: GROWTH_BYTES_MIN };
        let sessions = &shared.sessions;
        let begun = match failed {
            None => sessions.begin(place, (&verification, &found)),
            Some(failed) => Err(io::Error::new(failed.kind(), failed.to_string())),
        };
        let begun = match begun {
            Err(error) if failed.is_some() || is_failing(&error) => {
                sessions.begin_without(place, (&verification, &found), error.to_string())
            }
            begun => begun,
        };
        begun.map_err(ServerError::Sessions)?;
        match &found.unknown {
            Some(reason) => {
                tracing::warn!(reason, "sessions of before are unknown: their clients begin anew")
            }
            None => tracing::info!(
                sessions = found.sessions.len(),
                verified_otherwise = found.unverified,
                "sessions of before may come back"
            ),
        }
        let now = unix_now();
        for (key, state) in &found.sessions {
            let mut memberships = state.memberships.clone();
            // It is taken from the session when its client comes back, which hears of that.
            memberships.users.retain(|(user, _)| !state.standing.has_expired_for(user, now));
            shared.presence.found(*key, &memberships);
        }
        shared.recovery.begin(found, shared.sessions.clone());
        Ok(())
    }
}

/// Whether the disk fails, rather than the server may not use it.
fn is_failing(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
