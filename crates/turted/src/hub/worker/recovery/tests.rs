use proptest::collection::vec;
use proptest::prelude::*;
use turted_core::kept::PORTION;
use turted_core::membership::{Memberships, Since};
use turted_core::name::Name;

use super::*;

fn key(number: u32) -> SessionKey {
    SessionKey::of(&number.to_le_bytes())
}

fn session() -> LostSession {
    LostSession::default()
}

#[test]
fn a_lost_session_is_taken_once_and_the_oldest_gives_way() {
    let recovery =
        Recovery::new(RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::from_secs(60) });
    let ids: Vec<_> = (0..3).map(key).collect();
    for id in &ids {
        recovery.keep(*id, session());
    }
    assert!(recovery.take(ids[0]).is_none(), "the oldest gave way");
    assert!(recovery.take(ids[1]).is_some());
    assert!(recovery.take(ids[1]).is_none(), "taken once");
    assert!(recovery.take(ids[2]).is_some());
}

#[test]
fn a_former_id_is_good_until_the_new_one_is_shown_or_its_session_ends() {
    let limits = RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::from_secs(60) };
    let mut registry = turted_core::registry::Registry::new();
    let home = Home { worker: 0, key: registry.insert(()) };
    for end in [Recovery::shown, Recovery::forget] {
        let recovery = Recovery::new(limits);
        recovery.succeed(key(0), key(1), home);
        assert_eq!((recovery.successor(key(0)), recovery.successor(key(1))), (Some(key(1)), None));
        assert_eq!(recovery.home(key(1)).map(|home| home.key), Some(home.key));
        // The client has not seen the second session either.
        recovery.shown(key(1));
        recovery.succeed(key(0), key(2), home);
        assert_eq!(recovery.successor(key(0)), Some(key(2)));
        end(&recovery, key(2));
        assert_eq!(recovery.successor(key(0)), None);
        let sessions = recovery.sessions();
        assert_eq!((sessions.successors.len(), sessions.predecessors.len()), (0, 0));
    }
}

#[test]
fn a_session_of_another_node_is_held_unless_a_connection_here_has_it_and_what_is_out_of_date_gives_way() {
    let limits = RecoveryLimits { sessions: 2, bytes: 1 << 20, age: Duration::from_secs(60) };
    let mut registry = turted_core::registry::Registry::new();
    let (recovery, home) = (Recovery::new(limits), Home { worker: 0, key: registry.insert(()) });
    recovery.keep(key(0), session());
    let newer = LostSession { began_after: 7, ..session() };
    assert!(recovery.hold(key(0), newer));
    assert_eq!(recovery.take_to(key(0), home).map(|taken| taken.began_after), Some(7));
    assert!(!recovery.hold(key(0), session()), "a connection has it");
    recovery.left(key(0));
    assert!(recovery.hold(key(0), session()));
    recovery.gone(key(0));
    assert!(recovery.look(key(0)).is_none(), "another node has it");
}

#[test]
fn lost_sessions_are_bounded_in_bytes_and_the_oldest_gives_way() {
    let channels = (0..100).map(|number| (Name::new(&format!("{number:0255}")).unwrap(), Since::START));
    let memberships = Memberships { channels: channels.collect(), ..Memberships::default() };
    let large = LostSession { memberships, ..session() };
    assert!((25_500..40_000).contains(&bytes_of(&large)), "{}", bytes_of(&large));
    let bytes = 2 * bytes_of(&large) + bytes_of(&session());
    let recovery = Recovery::new(RecoveryLimits { sessions: 1_000, bytes, age: Duration::from_secs(60) });
    let ids: Vec<_> = (0..4).map(key).collect();
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
    let id = key(0);
    recovery.keep(id, session());
    while recovery.lost() > 0 {
        let _ = recovery.take(key(1));
    }
    assert!(recovery.take(id).is_none());
}

#[test]
fn what_is_lost_and_too_old_goes_in_portions_and_its_memory_with_it() {
    let age = Duration::from_secs(60);
    let recovery = Recovery::new(RecoveryLimits { sessions: 10_000, bytes: 1 << 30, age });
    for slot in 0..5_000 {
        recovery.keep(key(slot), session());
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
    let ids: Vec<_> = (0..3).map(key).collect();
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
struct Model(Vec<(SessionKey, Instant, usize)>);

impl Model {
    fn remove(&mut self, id: SessionKey) -> Option<usize> {
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
        self.0.iter().map(|(.., channels)| bytes_of(&of_channels(*channels))).sum()
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
        let bytes = rooms * bytes_of(&of_channels(2));
        let limits = RecoveryLimits { sessions, bytes, age: Duration::from_secs(60) };
        let ids: Vec<_> = (0..12).map(key).collect();
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
