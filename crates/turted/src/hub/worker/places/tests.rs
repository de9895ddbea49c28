//! Places as they are taken, given back and given away.

use proptest::collection::vec;
use proptest::prelude::*;
use turted_core::registry::Registry;

use super::*;

const LIMITS: PlaceLimits = PlaceLimits { all: 4, per_address: 3, counted: CountedAddresses::All };

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nobody(_: Unreturned) -> bool {
    panic!("there is room")
}

#[test]
fn an_address_has_as_many_places_as_it_may_and_not_one_more() {
    let places = Places::new(LIMITS);
    let own = address("192.0.2.7");
    let mut held: Vec<_> = (0..3).map(|_| places.take(own, nobody).unwrap()).collect();
    assert_eq!(places.take(own, nobody).unwrap_err(), NoPlace::OfAddress);
    let _other = places.take(address("192.0.2.8"), nobody).unwrap();
    held.pop();
    held.push(places.take(own, nobody).unwrap());
    assert_eq!(places.take(own, nobody).unwrap_err(), NoPlace::OfAddress);
}

#[test]
fn an_ipv6_network_has_the_places_of_one_address() {
    let places = Places::new(LIMITS);
    let _held: Vec<_> =
        (1..=3).map(|host| places.take(address(&format!("2001:db8::{host}")), nobody).unwrap()).collect();
    assert_eq!(places.take(address("2001:db8::9"), nobody).unwrap_err(), NoPlace::OfAddress);
    assert!(places.take(address("2001:db8:0:1::9"), nobody).is_ok());
}

#[test]
fn private_addresses_have_as_many_as_there_are_while_no_proxy_is_named() {
    let places = Places::new(PlaceLimits { all: 99, counted: CountedAddresses::Public, ..LIMITS });
    let private = ["10.0.0.1", "127.0.0.1", "::1", "fd00::1"].map(|own| {
        let own = address(own);
        (0..5).map(|_| places.take(own, nobody).unwrap()).collect::<Vec<_>>()
    });
    assert!(places.locked().told);
    assert_eq!(private.len(), 4);
    let _public: Vec<_> = (0..3).map(|_| places.take(address("192.0.2.7"), nobody).unwrap()).collect();
    assert_eq!(places.take(address("192.0.2.7"), nobody).unwrap_err(), NoPlace::OfAddress);
}

#[test]
fn the_oldest_that_did_not_come_back_gives_way_and_nobody_else() {
    let places = Places::new(PlaceLimits { per_address: 9, ..LIMITS });
    let mut registry = Registry::new();
    let keys: Vec<_> = (0..4).map(|_| registry.insert(())).collect();
    let held: Vec<_> = (0..4).map(|_| places.take(address("192.0.2.7"), nobody).unwrap()).collect();
    for (place, key) in held.iter().zip(&keys) {
        place.await_return(1, *key);
    }
    held[0].came_back();
    held[2].came_back();
    let mut gone = Vec::new();
    let mut take = || {
        let dismiss = |who: Unreturned| {
            assert_eq!(who.worker, 1);
            gone.push(who.key);
            true
        };
        places.take(address("192.0.2.8"), dismiss)
    };
    let newcomers = [take().unwrap(), take().unwrap()];
    assert_eq!(take().unwrap_err(), NoPlace::All);
    assert_eq!(gone, [keys[1], keys[3]]);
    // These two sessions learn of it only now, and count no more.
    held[1].came_back();
    drop(held);
    assert_eq!((places.taken(), places.locked().of(address("192.0.2.7"))), (2, 0));
    drop(newcomers);
    assert_eq!(places.taken(), 0);
}

#[test]
fn one_that_cannot_be_dismissed_keeps_its_place_in_the_line() {
    let places = Places::new(PlaceLimits { all: 1, ..LIMITS });
    let place = places.take(address("192.0.2.7"), nobody).unwrap();
    place.await_return(0, Registry::new().insert(()));
    for _ in 0..2 {
        assert_eq!(places.take(address("192.0.2.8"), |_| false).unwrap_err(), NoPlace::All);
    }
    assert!(places.take(address("192.0.2.8"), |_| true).is_ok());
}

/// A session of the model: whether it waits for its client, and whether its place is another's.
struct Session {
    place: Place,
    key: ConnectionKey,
    host: u8,
    waits: bool,
    is_gone: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Of this host, by a poll or not.
    Open(u8, bool),
    Return(usize),
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, any::<bool>()).prop_map(|(host, by_poll)| Step::Open(host, by_poll)),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Return(which.index(64))),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::End(which.index(64))),
    ]
}

/// What a new session should get, and which one should give way to it.
fn expected(sessions: &[Session], host: u8, limits: PlaceLimits) -> (Option<NoPlace>, Option<ConnectionKey>) {
    let alive = || sessions.iter().filter(|session| !session.is_gone);
    if alive().filter(|session| session.host == host).count() >= limits.per_address {
        return (Some(NoPlace::OfAddress), None);
    }
    if alive().count() < limits.all {
        return (None, None);
    }
    match alive().find(|session| session.waits) {
        Some(oldest) => (None, Some(oldest.key)),
        None => (Some(NoPlace::All), None),
    }
}

fn open(places: &Arc<Places>, sessions: &mut Vec<Session>, (host, by_poll): (u8, bool), key: ConnectionKey) {
    let (refused, dismissed) = expected(sessions, host, places.limits);
    let mut gone = None;
    let taken = places.take(IpAddr::from([192, 0, 2, host]), |who| {
        gone = Some(who.key);
        true
    });
    assert_eq!((taken.as_ref().err().copied(), gone), (refused, dismissed));
    if let Some(session) = sessions.iter_mut().find(|session| Some(session.key) == gone) {
        session.is_gone = true;
    }
    let Ok(place) = taken else { return };
    if by_poll {
        place.await_return(0, key);
    }
    sessions.push(Session { place, key, host, waits: by_poll, is_gone: false });
}

proptest! {
    #[test]
    fn places_are_counted_exactly_however_sessions_come_and_go(steps in vec(step(), 0..300)) {
        let places = Places::new(PlaceLimits { all: 8, per_address: 3, counted: CountedAddresses::All });
        let mut registry = Registry::new();
        let mut sessions: Vec<Session> = Vec::new();
        for step in steps {
            match step {
                Step::Open(host, by_poll) => {
                    open(&places, &mut sessions, (host, by_poll), registry.insert(()));
                }
                Step::Return(which) => {
                    if let Some(session) = sessions.get_mut(which) {
                        session.place.came_back();
                        session.waits = false;
                    }
                }
                Step::End(which) => {
                    if which < sessions.len() {
                        sessions.remove(which);
                    }
                }
            }
            let alive = sessions.iter().filter(|session| !session.is_gone);
            let waiting = alive.clone().filter(|session| session.waits).count();
            let taken = places.locked();
            prop_assert_eq!((taken.count, taken.unreturned.len()), (alive.count(), waiting));
            prop_assert_eq!(taken.by_address.values().sum::<usize>(), taken.count);
        }
        drop(sessions);
        let taken = places.locked();
        prop_assert!(taken.count == 0 && taken.by_address.is_empty() && taken.unreturned.is_empty());
    }
}
