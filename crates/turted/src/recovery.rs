//! What is kept of sessions that lost their connection, for the clients that come back.
//!
//! Shared by all workers behind a lock that is taken when a client disconnects or resumes, never
//! when an event is delivered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::membership::Memberships;
use turted_core::registry::ConnectionKey;
use turted_core::standing::Standing;

use crate::session_id::SessionId;
use crate::tidy::{PORTION, shrink_map, shrink_queue};

/// What a lost session takes beside names and grants: its places in a map and a queue.
const ENTRY_BYTES: usize = 256;

/// A session while its client is away.
#[derive(Clone, Debug)]
pub(crate) struct LostSession {
    pub(crate) memberships: Memberships,
    pub(crate) standing: Standing,
    /// The number of the last dispatch before the session began. Nothing older concerns it.
    pub(crate) began_after: u64,
}

impl LostSession {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.memberships.bytes() + self.standing.bytes()
    }
}

/// Where a session is that was recovered: its id names the worker it began on.
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

/// The sessions of one node that can be recovered.
#[derive(Debug)]
pub(crate) struct Recovery {
    limits: RecoveryLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lost: HashMap<SessionId, (Instant, LostSession)>,
    /// Bytes of those.
    bytes: usize,
    /// In the order in which they were lost; may name sessions that are back.
    order: VecDeque<(Instant, SessionId)>,
    homes: HashMap<SessionId, Home>,
}

impl Recovery {
    pub(crate) fn new(limits: RecoveryLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// Keeps a session whose client may come back.
    pub(crate) fn keep(&self, id: SessionId, session: LostSession) {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.homes.remove(&id);
        kept.remove(id);
        kept.bytes += session.bytes();
        kept.lost.insert(id, (now, session));
        kept.order.push_back((now, id));
        kept.evict(now, self.limits);
    }

    /// Gives up a session that ended for good.
    pub(crate) fn forget(&self, id: SessionId) {
        self.kept().homes.remove(&id);
    }

    /// Takes a lost session out, if it is still kept.
    pub(crate) fn take(&self, id: SessionId) -> Option<LostSession> {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.evict(now, self.limits);
        let lost_at = kept.lost.get(&id)?.0;
        // Perhaps one of many that are too old.
        (now.duration_since(lost_at) <= self.limits.age).then(|| kept.remove(id))?
    }

    /// How many sessions are lost and can be recovered.
    pub(crate) fn lost(&self) -> usize {
        self.kept().lost.len()
    }

    /// Gives up a portion of the sessions that are too old: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let mut kept = self.kept();
        let has_more = kept.evict(now, self.limits);
        if !has_more {
            kept.shrink();
        }
        has_more
    }

    /// Remembers where a recovered session lives now.
    pub(crate) fn moved(&self, id: SessionId, home: Home) {
        self.kept().homes.insert(id, home);
    }

    /// Where a recovered session lives; `None` for one that is where it began, or nowhere.
    pub(crate) fn home(&self, id: SessionId) -> Option<Home> {
        self.kept().homes.get(&id).copied()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, id: SessionId) -> Option<LostSession> {
        let (_, session) = self.lost.remove(&id)?;
        self.bytes -= session.bytes();
        Some(session)
    }

    /// Makes room, and gives up a portion of what is too old: whether there is more. Were it all, the
    /// first client that comes back after thousands were lost would hold the lock for milliseconds.
    fn evict(&mut self, now: Instant, limits: RecoveryLimits) -> bool {
        let mut old = 0;
        while let Some(&(lost_at, id)) = self.order.front() {
            let full = self.order.len() > limits.sessions || self.bytes > limits.bytes;
            let is_old = now.duration_since(lost_at) > limits.age;
            if !full && (!is_old || old == PORTION) {
                return is_old;
            }
            old += usize::from(is_old);
            self.order.pop_front();
            // The session may be back, or have been lost again since.
            if self.lost.get(&id).is_some_and(|(at, _)| *at == lost_at) {
                self.remove(id);
            }
        }
        false
    }

    fn shrink(&mut self) {
        shrink_map(&mut self.lost);
        shrink_map(&mut self.homes);
        shrink_queue(&mut self.order);
    }
}

#[cfg(test)]
mod tests {
    use turted_core::membership::Since;
    use turted_core::name::Name;

    use super::*;

    fn session() -> LostSession {
        LostSession { memberships: Memberships::default(), standing: Standing::default(), began_after: 0 }
    }

    #[test]
    fn a_lost_session_is_taken_once_and_the_oldest_gives_way() {
        let recovery =
            Recovery::new(RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::from_secs(60) });
        let ids: Vec<_> = (0..3).map(|slot| SessionId::new(0, slot)).collect();
        for id in &ids {
            recovery.keep(*id, session());
        }
        assert!(recovery.take(ids[0]).is_none(), "the oldest gave way");
        assert!(recovery.take(ids[1]).is_some());
        assert!(recovery.take(ids[1]).is_none(), "taken once");
        assert!(recovery.take(ids[2]).is_some());
    }

    #[test]
    fn lost_sessions_are_bounded_in_bytes_and_the_oldest_gives_way() {
        let channels = (0..100).map(|number| (Name::new(&format!("{number:0255}")).unwrap(), Since::START));
        let memberships = Memberships { channels: channels.collect(), ..Memberships::default() };
        let large = LostSession { memberships, ..session() };
        assert!((25_500..40_000).contains(&large.bytes()), "{}", large.bytes());
        let bytes = 2 * large.bytes() + session().bytes();
        let recovery = Recovery::new(RecoveryLimits { sessions: 1_000, bytes, age: Duration::from_secs(60) });
        let ids: Vec<_> = (0..4).map(|slot| SessionId::new(0, slot)).collect();
        recovery.keep(ids[0], large.clone());
        recovery.keep(ids[1], session());
        recovery.keep(ids[2], large.clone());
        // Lost once more: it counts once.
        recovery.keep(ids[2], large.clone());
        assert_eq!(recovery.kept().bytes, bytes);
        recovery.keep(ids[3], session());
        let kept: Vec<_> = ids.iter().map(|id| recovery.take(*id).is_some()).collect();
        assert_eq!(kept, [false, true, true, true]);
        assert_eq!(recovery.kept().bytes, 0, "nothing is counted that is gone");
    }

    #[test]
    fn a_lost_session_is_kept_no_longer_than_its_age() {
        let recovery = Recovery::new(RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::ZERO });
        let id = SessionId::new(0, 0);
        recovery.keep(id, session());
        while recovery.kept().lost.contains_key(&id) {
            let _ = recovery.take(SessionId::new(0, 1));
        }
        assert!(recovery.take(id).is_none());
    }

    #[test]
    fn what_is_lost_and_too_old_goes_in_portions_and_its_memory_with_it() {
        let age = Duration::from_secs(60);
        let recovery = Recovery::new(RecoveryLimits { sessions: 10_000, bytes: 1 << 30, age });
        for slot in 0..5_000 {
            recovery.keep(SessionId::new(0, slot), session());
        }
        assert!(!recovery.tidy(Instant::now()), "nothing is too old");
        assert_eq!(recovery.lost(), 5_000);
        let late = Instant::now() + age + Duration::from_secs(1);
        assert!(recovery.tidy(late), "there is more");
        assert_eq!(recovery.lost(), 5_000 - PORTION);
        while recovery.tidy(late) {}
        let kept = recovery.kept();
        assert_eq!((kept.lost.len(), kept.order.len(), kept.bytes), (0, 0, 0));
        assert_eq!((kept.lost.capacity(), kept.order.capacity()), (0, 0));
    }
}
