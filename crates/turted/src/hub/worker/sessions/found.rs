//! What a start finds of sessions.

use std::fs;
use std::io;
use std::path::Path;

use turted_core::channel::ChannelRules;
use turted_core::record::fold::{Fold, Survivors, Verifier};
use turted_core::record::frame::{Fault, Frames};
use turted_core::record::session::{FORMAT, Record, SessionState};
use turted_core::session_key::SessionKey;
use turted_core::standing::Applicant;

use super::files::FileName;
use super::verifier::Verification;

/// What a start finds of sessions.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Sessions whose clients may come back.
    pub(crate) sessions: Vec<(SessionKey, SessionState)>,
    /// Sessions whose clients were given others behind a gap, and may not know it yet; and those others.
    pub(crate) succeeded: Vec<(SessionKey, SessionKey)>,
    /// The highest number of a dispatch that a record names. Later dispatches have higher ones.
    pub(crate) number: u64,
    /// The version of the last record.
    pub(crate) version: u64,
    /// Sessions that are unknown because another configuration had verified who they are.
    pub(crate) unverified: usize,
    /// Why no session is known, although there are files.
    pub(crate) unknown: Option<String>,
    pub(super) files: Vec<FileName>,
}

/// Why a file cannot be believed.
#[derive(Debug, thiserror::Error)]
enum Disbelief {
    #[error("{0}: {1}")]
    Damaged(FileName, String),
    #[error("{0} has version {1}, and this server knows version {FORMAT}: {ADVICE}")]
    Version(FileName, u8),
}

/// What an operator may do about a file of a later version.
const ADVICE: &str = "start the later server again, or move the directory away";

impl Found {
    /// Reads all files of sessions in a directory. Where one of them is damaged, no session is known.
    ///
    /// # Errors
    /// A file cannot be read, or was written by a later version.
    pub(crate) fn read(directory: &Path, verification: &Verification) -> io::Result<Self> {
        let mut files: Vec<FileName> = fs::read_dir(directory)?
            .filter_map(|entry| entry.map(|entry| FileName::parse(entry.file_name().to_str()?)).transpose())
            .collect::<io::Result<_>>()?;
        files.sort_unstable();
        let (mut fold, mut unknown) = (Fold::default(), None);
        for name in &files {
            match add(&mut fold, (*name, &fs::read(directory.join(name.to_string()))?), verification) {
                Ok(()) => {}
                Err(version @ Disbelief::Version(..)) => return Err(io::Error::other(version.to_string())),
                Err(damage) => unknown = Some(damage.to_string()),
            }
        }
        let (number, version) = (fold.number(), fold.version());
        let Survivors { sessions, succeeded, unverified } =
            if unknown.is_some() { Survivors::default() } else { fold.finish() };
        Ok(Self { sessions, succeeded, number, version, unverified, unknown, files })
    }

    /// Takes sessions out of the channels that these rules do not let them into.
    pub(crate) fn leave_forbidden(&mut self, rules: &ChannelRules) {
        if rules.is_empty() {
            return;
        }
        for (_, SessionState { memberships, standing, .. }) in &mut self.sessions {
            let applicant = Applicant { is_identified: !memberships.users.is_empty(), standing };
            memberships.channels.retain(|(channel, _)| applicant.may_join(channel, rules).is_ok());
        }
    }

    /// Gives up what was found: it cannot be shown to be all there is.
    pub(crate) fn disbelieve(&mut self, reason: &str) {
        (self.sessions, self.succeeded) = (Vec::new(), Vec::new());
        self.unknown.get_or_insert_with(|| reason.to_owned());
    }
}

/// Adds the records of a file. What ends early is cut: a server that was killed had not answered for it yet.
fn add(
    fold: &mut Fold,
    (name, bytes): (FileName, &[u8]),
    verification: &Verification,
) -> Result<(), Disbelief> {
    let damaged = |what: &str| Disbelief::Damaged(name, what.to_owned());
    let mut verifier = None;
    for frame in Frames::of(bytes) {
        let body = match frame {
            Ok(body) => body,
            Err(Fault::Torn) => return Ok(()),
            Err(Fault::Damaged(damage)) => return Err(damaged(&damage.to_string())),
        };
        // A later version may have other records, and another head, but its version stands in the same place.
        if let ([1, format, ..], None) = (body, verifier)
            && *format != FORMAT
        {
            return Err(Disbelief::Version(name, *format));
        }
        let record = Record::read(body).map_err(|malformed| damaged(&malformed.to_string()))?;
        match (record, verifier) {
            (Record::Head(head), None) => {
                let is_same = head.auth == verification.mark(&head.salt);
                verifier = Some(if is_same { Verifier::Same } else { Verifier::Another });
            }
            (Record::Session(record), Some(verifier)) => fold.add(record, verifier),
            (Record::Head(_), Some(_)) => return Err(damaged("a second head")),
            (Record::Session(_), None) => return Err(damaged("no head")),
        }
    }
    Ok(())
}
