//! What is kept of sessions that lost their connection, so that their clients can resume them.
//!
//! All workers share it behind a lock. The lock is taken when a client disconnects or resumes, never when an
//! event is delivered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::kept::{Kept, KeptLimits};
use turted_core::membership::Memberships;
use turted_core::registry::ConnectionKey;
use turted_core::shrink::shrink_map;
use turted_core::standing::Standing;

use crate::config::Config;
use crate::hub::worker::session_id::SessionId;

/// What a lost session takes beside names and grants: its entries in the map by id and in the order by age.
const ENTRY_BYTES: usize = 256;

/// A session while its client is away.
#[derive(Clone, Debug)]
pub(crate) struct LostSession {
    pub(crate) memberships: Memberships,
    pub(crate) standing: Standing,
    /// The number of the last dispatch before the session began. The session does not receive it or older
    /// ones.
    pub(crate) began_after: u64,
}

impl LostSession {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.memberships.bytes() + self.standing.bytes()
    }
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

/// The sessions of one node that can be recovered.
#[derive(Debug)]
pub(crate) struct Recovery(Mutex<Sessions>);

#[derive(Debug)]
struct Sessions {
    lost: Kept<SessionId, LostSession>,
    homes: HashMap<SessionId, Home>,
}

impl Recovery {
    pub(crate) fn new(RecoveryLimits { sessions, bytes, age }: RecoveryLimits) -> Self {
        let lost = Kept::new(KeptLimits { entries: sessions, bytes, age }, Instant::now());
        Self(Mutex::new(Sessions { lost, homes: HashMap::new() }))
    }

    /// Keeps a session whose client may come back.
    pub(crate) fn keep(&self, id: SessionId, session: LostSession) {
        self.sessions().keep(id, session, Instant::now());
    }

    /// Gives up a session that ended for good.
    pub(crate) fn forget(&self, id: SessionId) {
        self.sessions().homes.remove(&id);
    }

    /// Takes a lost session out, if it is still kept.
    pub(crate) fn take(&self, id: SessionId) -> Option<LostSession> {
        self.sessions().take(id, Instant::now())
    }

    /// How many lost sessions can be recovered.
    pub(crate) fn lost(&self) -> usize {
        self.sessions().lost.len()
    }

    /// Gives up a portion of the sessions that are too old. Returns whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let mut sessions = self.sessions();
        let has_more = sessions.lost.tidy(now);
        if !has_more {
            shrink_map(&mut sessions.homes);
        }
        has_more
    }

    /// Remembers where a recovered session is now.
    pub(crate) fn moved(&self, id: SessionId, home: Home) {
        self.sessions().homes.insert(id, home);
    }

    /// Where a recovered session is now; `None` for a session that is where it began, and for an unknown one.
    pub(crate) fn home(&self, id: SessionId) -> Option<Home> {
        self.sessions().homes.get(&id).copied()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Keeps a session; the oldest give way. A session that is lost again replaces its earlier entry.
    fn keep(&mut self, id: SessionId, session: LostSession, now: Instant) {
        self.homes.remove(&id);
        self.lost.forget_old(now);
        let bytes = session.bytes();
        self.lost.insert(id, session, bytes, now);
    }

    fn take(&mut self, id: SessionId, now: Instant) -> Option<LostSession> {
        self.lost.forget_old(now);
        // Other sessions that are too old may still be in the store.
        self.lost.get(&id, now)?;
        self.lost.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use turted_core::kept::PORTION;
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
        // Lost again: it counts once.
        recovery.keep(ids[2], large.clone());
        assert_eq!(recovery.sessions().lost.bytes(), bytes);
        recovery.keep(ids[3], session());
        let kept: Vec<_> = ids.iter().map(|id| recovery.take(*id).is_some()).collect();
        assert_eq!(kept, [false, true, true, true]);
        assert_eq!(recovery.sessions().lost.bytes(), 0, "sessions that are gone count no bytes");
    }

    #[test]
    fn a_lost_session_is_kept_no_longer_than_its_age() {
        let recovery = Recovery::new(RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::ZERO });
        let id = SessionId::new(0, 0);
        recovery.keep(id, session());
        while recovery.lost() > 0 {
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
        assert!(recovery.tidy(late), "more sessions are too old");
        assert_eq!(recovery.lost(), 5_000 - PORTION);
        while recovery.tidy(late) {}
        let lost = &recovery.sessions().lost;
        assert_eq!((lost.len(), lost.keys().count(), lost.bytes()), (0, 0, 0));
        assert_eq!(lost.capacity(), 0);
    }

    #[test]
    fn a_client_that_comes_and_goes_pushes_nobody_out() {
        let recovery =
            Recovery::new(RecoveryLimits { sessions: 3, bytes: 1 << 20, age: Duration::from_secs(60) });
        let ids: Vec<_> = (0..3).map(|slot| SessionId::new(0, slot)).collect();
        ids.iter().for_each(|id| recovery.keep(*id, session()));
        for _ in 0..1_000 {
            let again = recovery.take(ids[2]).unwrap();
            recovery.keep(ids[2], again);
        }
        assert_eq!(recovery.sessions().lost.keys().count(), 3, "an entry for each lost session");
        assert!(ids.iter().all(|id| recovery.take(*id).is_some()));
    }

    /// The model: the sessions that are kept, in the order in which they were lost, each with its id, the
    /// time, and its channels.
    #[derive(Default)]
    struct Model(Vec<(SessionId, Instant, usize)>);

    impl Model {
        fn remove(&mut self, id: SessionId) -> Option<usize> {
            let place = self.0.iter().position(|(own, ..)| *own == id)?;
            Some(self.0.remove(place).2)
        }

        fn make_room(&mut self, now: Instant, limits: RecoveryLimits) {
            self.0.retain(|(_, lost_at, _)| now.duration_since(*lost_at) <= limits.age);
            while self.0.len() > limits.sessions || self.bytes() > limits.bytes {
                self.0.remove(0);
            }
        }

        fn bytes(&self) -> usize {
            self.0.iter().map(|(.., channels)| of_channels(*channels).bytes()).sum()
        }
    }

    fn of_channels(channels: usize) -> LostSession {
        let channels = (0..channels).map(|number| (Name::new(&number.to_string()).unwrap(), Since::START));
        let memberships = Memberships { channels: channels.collect(), ..Memberships::default() };
        LostSession { memberships, ..session() }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Lose(usize, usize),
        Return(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_usize, 0..8_usize).prop_map(|(who, channels)| Step::Lose(who, channels)),
            3 => (0..12_usize).prop_map(Step::Return),
            1 => (0..40_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_lost_last_however_clients_come_and_go(
            steps in vec(step(), 0..200), sessions in 1..8_usize, rooms in 2..20_usize,
        ) {
            let bytes = rooms * of_channels(2).bytes();
            let limits = RecoveryLimits { sessions, bytes, age: Duration::from_secs(60) };
            let ids: Vec<_> = (0..12).map(|slot| SessionId::new(0, slot)).collect();
            let recovery = Recovery::new(limits);
            let (mut store, mut model, mut now) = (recovery.sessions(), Model::default(), Instant::now());
            for step in steps {
                match step {
                    Step::Lose(who, channels) => {
                        store.keep(ids[who], of_channels(channels), now);
                        model.remove(ids[who]);
                        model.0.push((ids[who], now, channels));
                        model.make_room(now, limits);
                    }
                    Step::Return(who) => {
                        let back = store.take(ids[who], now);
                        model.make_room(now, limits);
                        let channels = back.map(|session| session.memberships.channels.len());
                        prop_assert_eq!(channels, model.remove(ids[who]));
                    }
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                }
                let order: Vec<_> = store.lost.keys().copied().collect();
                let expected: Vec<_> = model.0.iter().map(|(id, ..)| *id).collect();
                prop_assert_eq!(order, expected);
                prop_assert_eq!(store.lost.len(), model.0.len());
                prop_assert_eq!(store.lost.bytes(), model.bytes());
            }
        }
    }
}
