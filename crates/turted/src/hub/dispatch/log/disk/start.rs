//! A start, first half: what the directory has, and whether the log goes on.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use turted_core::limits::LOG_LOCK_WAIT_MAX;

use super::directory::{self, Directory, Listing, Mark, PushFile};
use super::lives::{Lives, LivesFault, State, Synced};
use super::read::{End, Reading, synced_in};
use super::{OpenRefusal, Reason, StoreLimits, Verdict};
use crate::config::{DiskLog, LogStart};

/// A log that was read, before the new life begins.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(super) directory: Arc<Directory>,
    pub(super) limits: StoreLimits,
    pub(super) sync: Synced,
    pub(super) boot: Option<String>,
    /// What the last life said.
    pub(super) lives: Option<Lives>,
    pub(super) reading: Reading,
    pub(super) verdict: Verdict,
    /// Where files are cut; one that is cut at its beginning goes.
    pub(super) cuts: Vec<(PushFile, u64)>,
}

/// Locks and reads the directory. `listen` is what another server is told that wants it too.
///
/// # Errors
/// The directory cannot be used, or the disk fails.
pub(crate) fn open(log: &DiskLog, limits: StoreLimits, listen: SocketAddr) -> Result<Opening, OpenRefusal> {
    let directory = Directory::lock(&log.directory, &directory::holder(listen), LOG_LOCK_WAIT_MAX)?;
    open_locked(directory, log, (limits, directory::boot_id()))
}

/// The same for a directory that is locked, and for the boot that the machine is said to have.
pub(super) fn open_locked(
    directory: Directory,
    log: &DiskLog,
    (limits, boot): (StoreLimits, Option<String>),
) -> Result<Opening, OpenRefusal> {
    let failing = |source| OpenRefusal::Failing { directory: log.directory.clone(), source };
    let listing = directory.list().map_err(failing)?;
    let mark = directory.mark().map_err(failing)?;
    let mut opening = Opening {
        directory: Arc::new(directory),
        limits,
        sync: log.sync.into(),
        boot,
        lives: None,
        reading: Reading::new(limits),
        verdict: Verdict::Empty,
        cuts: Vec::new(),
    };
    let known = match mark {
        Mark::None => {
            opening.refuse_parts(&listing)?;
            return Ok(opening);
        }
        Mark::Lives(bytes) => (bytes, None),
        Mark::LeftBehind(bytes) => (bytes, Some(Reason::LeftBehind)),
    };
    let lives = match Lives::decode(&known.0) {
        Ok(lives) => Some(lives),
        Err(LivesFault::Damaged) => None,
        Err(LivesFault::Version(version)) => {
            return Err(OpenRefusal::UnknownVersion { directory: log.directory.clone(), version });
        }
    };
    let asked = (log.start == LogStart::NewEpoch).then_some(Reason::Asked);
    let damaged = lives.is_none().then_some(Reason::Damaged);
    opening.lives = lives;
    let read = opening.read(&listing).map_err(failing)?;
    let reason = asked.or(known.1).or(damaged).or(read);
    opening.verdict = reason.map_or(Verdict::Continued, Verdict::NewEpoch);
    Ok(opening)
}

impl Opening {
    /// The directory, also for the session writer.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Whether the files of sessions may be believed: what took something away from a session cannot be missing in them.
    pub(crate) fn is_session_whole(&self) -> bool {
        let Some(lives) = &self.lives else { return false };
        match self.verdict {
            Verdict::Empty | Verdict::NewEpoch(Reason::Asked | Reason::LeftBehind) => false,
            Verdict::Continued | Verdict::NewEpoch(_) => {
                lives.sync != Synced::Never
                    || matches!(lives.state, State::Clean { .. })
                    || self.is_same_boot(lives)
            }
        }
    }

    fn is_same_boot(&self, lives: &Lives) -> bool {
        self.boot.is_some() && self.boot == lives.boot
    }

    /// A directory with files and without `lives` is a part of one, unless its first start was killed.
    fn refuse_parts(&self, listing: &Listing) -> Result<(), OpenRefusal> {
        let directory = self.directory.path().to_owned();
        let mut part = listing.sessions.first().cloned();
        for file in &listing.pushes {
            let highest = self.highest_in(*file);
            let highest =
                highest.map_err(|source| OpenRefusal::Failing { directory: directory.clone(), source })?;
            if highest > 0 {
                part = Some(self.directory.push_path(*file));
            }
        }
        let part = part.as_deref().and_then(Path::file_name);
        match part {
            None => Ok(()),
            Some(name) => Err(OpenRefusal::Part { directory, file: name.to_string_lossy().into_owned() }),
        }
    }

    /// The highest number in a file that is not one of the log.
    fn highest_in(&self, file: PushFile) -> io::Result<u64> {
        let mut reading = Reading::new(self.limits);
        reading.read(&self.directory, file, None)?;
        Ok(reading.highest)
    }

    /// Reads all push files. Returns why the log does not go on.
    fn read(&mut self, listing: &Listing) -> io::Result<Option<Reason>> {
        let lives = self.lives.clone();
        // Without `lives` the order of the files is not known, but the keys in them still count.
        let place = |file: &PushFile| {
            lives.as_ref().map_or(Some(0), |lives| lives.chain.iter().position(|epoch| *epoch == file.epoch))
        };
        let mut files: Vec<_> =
            listing.pushes.iter().filter_map(|file| Some((place(file)?, *file))).collect();
        files.sort_unstable_by_key(|(place, file)| (*place, file.place));
        let mut ends = Vec::with_capacity(files.len());
        let epochs = lives.as_ref().map(|lives| &lives.epochs);
        for (_, file) in &files {
            ends.push((*file, self.reading.read(&self.directory, *file, epochs)?));
        }
        for file in listing.pushes.iter().filter(|file| place(file).is_none()) {
            let highest = self.highest_in(*file)?;
            self.reading.highest = self.reading.highest.max(highest);
        }
        let Some(lives) = lives else { return Ok(None) };
        self.reading.uptime = self.reading.uptime.max(lives.uptime);
        self.reading.forget_old();
        self.judge(&lives, &ends)
    }

    /// The files without the last one, if its life was killed between making it and finishing the one before.
    fn without_unused<'a>(&mut self, ends: &'a [(PushFile, End)]) -> &'a [(PushFile, End)] {
        let [
            rest @ ..,
            (before, End::Torn(_) | End::Damaged { .. }),
            (last, End::Whole { is_empty: true, .. }),
        ] = ends
        else {
            return ends;
        };
        if *last != (PushFile { place: before.place + 1, ..*before }) {
            return ends;
        }
        self.cuts.push((*last, 0));
        &ends[..=rest.len()]
    }

    /// Why the log does not go on, by what its files have.
    fn judge(&mut self, lives: &Lives, ends: &[(PushFile, End)]) -> io::Result<Option<Reason>> {
        let ends = self.without_unused(ends);
        let Some(((last, end), former)) = ends.split_last() else { return Ok(Some(Reason::Missing)) };
        for (file, end) in former {
            if !matches!(end, End::Whole { .. }) {
                return Ok(Some(Reason::Damaged));
            }
            let successor = PushFile { place: file.place + 1, ..*file };
            if matches!(end, End::Whole { is_finished: true, .. })
                && !ends.iter().any(|(file, _)| *file == successor)
            {
                return Ok(Some(Reason::Missing));
            }
        }
        // The current life has a file from its beginning on, and its numbers begin where those of the others end.
        let reached = self.reading.next.unwrap_or(0);
        if last.epoch != lives.current().epoch || reached <= lives.current().after {
            return Ok(Some(Reason::Missing));
        }
        let path = self.directory.push_path(*last);
        match *end {
            End::Whole { is_finished: false, .. } => {}
            End::Whole { is_finished: true, .. } => return Ok(Some(Reason::Missing)),
            End::Torn(0) if last.place == 0 => return Ok(Some(Reason::Damaged)),
            End::Torn(at) => self.cuts.push((*last, at)),
            End::Damaged { at, next } => {
                let may_be_cut = at > 0 && lives.sync == Synced::Always && !self.is_same_boot(lives);
                // Nobody was handed what was not synced, so that it may be cut like a torn end.
                if !may_be_cut || synced_in(&path, at)?.is_none_or(|synced| synced >= next) {
                    return Ok(Some(Reason::Damaged));
                }
                self.cuts.push((*last, at));
            }
        }
        Ok(match lives.state {
            State::Clean { last } if Some(last + 1) != self.reading.next || !self.cuts.is_empty() => {
                Some(Reason::Missing)
            }
            State::Clean { .. } => None,
            State::Open if lives.sync == Synced::Always || self.is_same_boot(lives) => None,
            State::Open => Some(Reason::PowerLoss),
        })
    }
}
