//! What is kept of sessions that lost their connection, so that their clients can resume them.
//!
//! All workers share it behind a lock. The lock is taken when a client disconnects or resumes, never when an
//! event is delivered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::kept::{Kept, KeptLimits};
use turted_core::name::Name;
use turted_core::record::session::SessionState;
use turted_core::registry::ConnectionKey;
use turted_core::session_key::SessionKey;
use turted_core::shrink::shrink_map;

use crate::config::Config;
use crate::hub::worker::sessions::{Found, Sessions as Journal};

/// What a session that began behind a gap takes until its client shows its id.
const SUCCESSOR_BYTES: usize = 256;

/// What a lost session takes beside names and grants: its entries in the map by id and in the order by age.
const ENTRY_BYTES: usize = 256;

/// A session while its client is away: what it is on disk, too.
pub(crate) type LostSession = SessionState;

/// About how many bytes of memory a lost session takes.
fn bytes_of(session: &LostSession) -> usize {
    let presence: usize = session.presence.iter().map(Name::bytes).sum();
    ENTRY_BYTES + session.memberships.bytes() + presence + session.standing.bytes()
}

/// Where a recovered session is now. Its id names the worker on which it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pub(crate) worker: u8,
    pub(crate) key: ConnectionKey,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecoveryLimits {
    pub(crate) sessions: usize,
    /// Bytes of their users, channels and grants.
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

impl RecoveryLimits {
    pub(crate) fn of(config: &Config) -> Self {
        let recovery = &config.recovery;
        Self { sessions: recovery.sessions, bytes: recovery.session_bytes, age: recovery.max_age }
    }
}

/// How far all that is kept was noted: in which store, and behind which of its entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotePlace {
    store: usize,
    behind: Option<u64>,
}

/// Stores that are noted: what was found, what was lost, and what leads to others.
const STORES: usize = 3;

/// The sessions of one node that can be recovered.
#[derive(Debug)]
pub(crate) struct Recovery(Mutex<Sessions>);

#[derive(Debug)]
struct Sessions {
    lost: Kept<SessionKey, LostSession>,
    /// Those that a start found. They were connected or lost in the server before, so that only their age bounds them.
    found: Kept<SessionKey, LostSession>,
    homes: HashMap<SessionKey, Home>,
    /// By the session that a client had before a gap, the one that it was given behind it. Until the client shows the
    /// new id it may not know it: the answer may have been lost.
    successors: Kept<SessionKey, SessionKey>,
    /// The same the other way round. What is put into both at once leaves both at once.
    predecessors: Kept<SessionKey, SessionKey>,
    /// Where it is recorded what is kept no longer.
    journal: Journal,
    /// How long a session is kept.
    age: Duration,
}

impl Recovery {
    pub(crate) fn new(RecoveryLimits { sessions, bytes, age }: RecoveryLimits) -> Self {
        let (limits, now) = (KeptLimits { entries: sessions, bytes, age }, Instant::now());
        Self(Mutex::new(Sessions {
            lost: Kept::new(limits, now),
            found: Kept::new(KeptLimits { entries: usize::MAX, bytes: usize::MAX, age }, now),
            homes: HashMap::new(),
            successors: Kept::new(limits, now),
            predecessors: Kept::new(limits, now),
            journal: Journal::default(),
            age,
        }))
    }

    /// Keeps what a start has found, as lost at this moment, and records from now on what is kept no longer.
    pub(crate) fn begin(&self, found: Found, journal: Journal) {
        let (mut sessions, now) = (self.sessions(), Instant::now());
        for (key, state) in found.sessions {
            let bytes = bytes_of(&state);
            sessions.found.insert(key, state, bytes, now);
        }
        for (former, key) in found.succeeded {
            sessions.succeed(former, key, now);
        }
        sessions.journal = journal;
    }

    /// Keeps a session whose client may come back.
    pub(crate) fn keep(&self, key: SessionKey, session: LostSession) {
        self.sessions().keep(key, session, Instant::now());
    }

    /// Gives up a session that ended for good.
    pub(crate) fn forget(&self, key: SessionKey) {
        self.sessions().end(key);
    }

    /// Takes a lost session out, if it is still kept.
    #[cfg(test)]
    pub(crate) fn take(&self, key: SessionKey) -> Option<LostSession> {
        self.sessions().take(key, Instant::now())
    }

    /// Takes a lost session out, if it is still kept, for a connection that has it from now on.
    pub(crate) fn take_to(&self, key: SessionKey, home: Home) -> Option<LostSession> {
        let mut sessions = self.sessions();
        let lost = sessions.take(key, Instant::now())?;
        sessions.homes.insert(key, home);
        Some(lost)
    }

    /// Keeps a session that was taken from another node, as what the engine says it is. Returns whether it is kept: not if a
    /// connection of this node has it.
    pub(crate) fn hold(&self, key: SessionKey, session: LostSession) -> bool {
        let mut sessions = self.sessions();
        if sessions.homes.contains_key(&key) {
            return false;
        }
        sessions.insert(key, session, Instant::now());
        true
    }

    /// Another node has a session: what this one keeps of it is out of date.
    pub(crate) fn gone(&self, key: SessionKey) {
        let mut sessions = self.sessions();
        sessions.lost.remove(&key);
        sessions.found.remove(&key);
    }

    /// No connection has a session any more.
    pub(crate) fn left(&self, key: SessionKey) {
        self.sessions().homes.remove(&key);
    }

    /// A lost session, which stays where it is.
    pub(crate) fn look(&self, key: SessionKey) -> Option<LostSession> {
        self.sessions().look(key, Instant::now()).cloned()
    }

    /// Lets a client that is given a new session behind a gap come back by the `former` one as well.
    pub(crate) fn succeed(&self, former: SessionKey, key: SessionKey, home: Home) {
        let (mut sessions, now) = (self.sessions(), Instant::now());
        sessions.homes.insert(key, home);
        sessions.succeed(former, key, now);
        sessions.journal.succeeded(former, key);
    }

    /// The session that a client was given behind a gap, and whose id it has not shown yet.
    pub(crate) fn successor(&self, former: SessionKey) -> Option<SessionKey> {
        self.sessions().successors.get(&former, Instant::now()).copied()
    }

    /// Notes that a client has shown the id of a session: the one it had before is good no longer.
    pub(crate) fn shown(&self, key: SessionKey) {
        self.sessions().shown(key);
    }

    /// How many lost sessions can be recovered.
    pub(crate) fn lost(&self) -> usize {
        let sessions = self.sessions();
        sessions.lost.len() + sessions.found.len()
    }

    /// Gives up a portion of the sessions that are too old. Returns whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let mut sessions = self.sessions();
        let Sessions { lost, found, successors, predecessors, journal, homes, .. } = &mut *sessions;
        let mut has_more = predecessors.tidy(now);
        for kept in [lost, found] {
            has_more |= kept.tidy_telling(now, |key| journal.forgotten(key));
        }
        has_more |= successors.tidy_telling(now, |former| journal.forgotten(former));
        if !has_more {
            shrink_map(homes);
        }
        has_more
    }

    /// Shows a portion of the lost sessions behind `place`, each with the time since it was lost, and moves `place` on. Returns
    /// whether there are more.
    pub(crate) fn look_behind(
        &self,
        place: &mut Option<NotePlace>,
        portion: usize,
        mut look: impl FnMut(&LostSession, Duration),
    ) -> bool {
        let (sessions, now) = (self.sessions(), Instant::now());
        let NotePlace { store, behind } = place.unwrap_or_default();
        let kept = match store {
            0 => &sessions.found,
            1 => &sessions.lost,
            _ => return false,
        };
        let mut last = None;
        for (at, key, lost) in kept.behind(behind).take(portion) {
            last = Some(at);
            if let Some((_, left)) = kept.get_with_time_left(key, now) {
                look(lost, sessions.age.saturating_sub(left));
            }
        }
        *place = Some(match last {
            Some(at) => NotePlace { store, behind: Some(at) },
            None => NotePlace { store: store + 1, behind: None },
        });
        true
    }

    /// Ends those of a portion of the lost sessions behind `place` that are `meant`, and moves `place` on. Returns which
    /// ended; `None` if there are no more behind it.
    pub(crate) fn end_behind(
        &self,
        place: &mut Option<NotePlace>,
        portion: usize,
        meant: impl Fn(&LostSession) -> bool,
    ) -> Option<Vec<SessionKey>> {
        let (mut sessions, now) = (self.sessions(), Instant::now());
        let NotePlace { store, behind } = place.unwrap_or_default();
        let kept = match store {
            0 => &sessions.found,
            1 => &sessions.lost,
            _ => return None,
        };
        let (mut last, mut ended) = (None, Vec::new());
        for (at, key, lost) in kept.behind(behind).take(portion) {
            last = Some(at);
            ended.extend(meant(lost).then_some(*key));
        }
        *place = Some(match last {
            Some(at) => NotePlace { store, behind: Some(at) },
            None => NotePlace { store: store + 1, behind: None },
        });
        for key in &ended {
            sessions.take(*key, now);
            sessions.end(*key);
        }
        Some(ended)
    }

    /// Notes what is kept behind `place`, a portion of it, and moves `place` on. Returns whether there is more.
    pub(crate) fn note_behind(&self, place: &mut Option<NotePlace>, portion: usize) -> bool {
        self.sessions().note_behind(place, portion)
    }

    /// Remembers where a recovered session is now.
    pub(crate) fn moved(&self, key: SessionKey, home: Home) {
        self.sessions().homes.insert(key, home);
    }

    /// Where a recovered session is now; `None` for a session that is where it began, and for an unknown one.
    pub(crate) fn home(&self, key: SessionKey) -> Option<Home> {
        self.sessions().homes.get(&key).copied()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Keeps a session; the oldest give way. A session that is lost again replaces its earlier entry.
    fn keep(&mut self, key: SessionKey, session: LostSession, now: Instant) {
        self.homes.remove(&key);
        self.journal.lost(key, &session);
        self.insert(key, session, now);
    }

    fn insert(&mut self, key: SessionKey, session: LostSession, now: Instant) {
        let Self { lost, journal, .. } = self;
        lost.forget_old_telling(now, |key| journal.forgotten(key));
        let bytes = bytes_of(&session);
        lost.insert_telling((key, session), bytes, now, |key| journal.forgotten(key));
    }

    fn look(&mut self, key: SessionKey, now: Instant) -> Option<&LostSession> {
        let Self { lost, found, .. } = self;
        [lost, found].into_iter().find_map(|kept| kept.get(&key, now))
    }

    fn take(&mut self, key: SessionKey, now: Instant) -> Option<LostSession> {
        let Self { lost, found, journal, .. } = self;
        [lost, found].into_iter().find_map(|kept| {
            kept.forget_old_telling(now, |key| journal.forgotten(key));
            // Other sessions that are too old may still be in the store.
            kept.get(&key, now)?;
            kept.remove(&key)
        })
    }

    fn end(&mut self, key: SessionKey) {
        self.homes.remove(&key);
        self.shown(key);
        self.journal.ended(key);
    }

    fn succeed(&mut self, former: SessionKey, key: SessionKey, now: Instant) {
        if let Some(unseen) = self.successors.remove(&former) {
            self.predecessors.remove(&unseen);
        }
        self.successors.insert(former, key, SUCCESSOR_BYTES, now);
        self.predecessors.insert(key, former, SUCCESSOR_BYTES, now);
    }

    fn shown(&mut self, key: SessionKey) {
        if let Some(former) = self.predecessors.remove(&key) {
            self.successors.remove(&former);
            self.journal.forgotten(former);
        }
    }

    fn note_behind(&self, place: &mut Option<NotePlace>, portion: usize) -> bool {
        let NotePlace { store, behind } = place.unwrap_or_default();
        let last = match store {
            0 | 1 => {
                let kept = if store == 0 { &self.found } else { &self.lost };
                let noted = kept.behind(behind).take(portion);
                noted.map(|(at, key, lost)| (at, self.journal.note(*key, || lost.clone()))).last()
            }
            _ => {
                let noted = self.successors.behind(behind).take(portion);
                noted.map(|(at, former, key)| (at, self.journal.succeeded(*former, *key))).last()
            }
        };
        *place = Some(match last {
            Some((at, ())) => NotePlace { store, behind: Some(at) },
            None => NotePlace { store: store + 1, behind: None },
        });
        last.is_some() || store < STORES - 1
    }
}

#[cfg(test)]
mod tests;
