//! When users were last connected, for backends that ask. It is kept of users whose connections have ended; of others the
//! registry knows that they are connected.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use turted_core::kept::{Kept, KeptLimits};
use turted_core::limits::{LAST_SEEN_AGE, LAST_SEEN_BYTES_MAX, LAST_SEEN_USERS_MAX};
use turted_core::name::Name;
use turted_core::time::UnixTime;

/// What an entry takes beside its name: its places in the map and in the order by age.
const ENTRY_BYTES: usize = 128;

/// When users were last connected, as far as that is kept.
#[derive(Debug)]
pub(crate) struct LastSeen(Mutex<Kept<Name, UnixTime>>);

impl Default for LastSeen {
    fn default() -> Self {
        let limits =
            KeptLimits { entries: LAST_SEEN_USERS_MAX, bytes: LAST_SEEN_BYTES_MAX, age: LAST_SEEN_AGE };
        Self(Mutex::new(Kept::new(limits, Instant::now())))
    }
}

impl LastSeen {
    /// A connection that was these users has ended, or is others, at this time.
    pub(crate) fn note<'a>(&self, users: impl IntoIterator<Item = &'a Name>, time: UnixTime) {
        let (mut kept, now) = (self.kept(), Instant::now());
        for user in users {
            kept.insert(user.clone(), time, ENTRY_BYTES + user.bytes(), now);
        }
    }

    /// When a user was last connected; `None` if that is not known.
    pub(crate) fn of(&self, user: &Name) -> Option<UnixTime> {
        self.kept().get(user, Instant::now()).copied()
    }

    /// Forgets a portion of what is too old. Returns whether there is more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.kept().tidy(now)
    }

    fn kept(&self) -> MutexGuard<'_, Kept<Name, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
