//! The book-keeping of a shard: another connection may take a place over, but not the memberships that
//! belonged to it, and nobody receives what was accepted before it came.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, VecDeque};

use turted_core::dispatch::Targets;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::registry::{ConnectionKey, IdentMode, Registry};

#[test]
fn a_membership_that_is_restored_to_its_holder_is_held_once_and_ends_with_it() {
    let (alice, chat) = (Name::new("alice").unwrap(), Name::new("chat").unwrap());
    let mut registry = Registry::new();
    let other = registry.insert("other");
    let key = registry.insert("alice");
    for key in [other, key] {
        registry.identify(key, &alice, IdentMode::Replace, Since::START).unwrap();
        registry.join(key, &chat, Since::START).unwrap();
    }
    let memberships = registry.memberships(key);
    registry.restore(key, &memberships);
    assert_eq!(registry.memberships(key), memberships);
    registry.remove(key);
    let stranger = registry.insert("stranger");
    assert_eq!(stranger.slot(), key.slot(), "the place is used again");
    registry.admit(stranger, Since::START);
    for targets in [Targets::user(alice), Targets::channel(chat)] {
        registry.resolve(1, &targets, |value, _, _| panic!("{value} is not a member"));
    }
}

#[test]
fn what_is_restored_takes_the_place_of_what_the_connection_was() {
    let name = |text| Name::new(text).unwrap();
    let mut registry = Registry::new();
    let before = registry.insert("before");
    registry.identify(before, &name("alice"), IdentMode::Replace, Since::START).unwrap();
    registry.join(before, &name("chat"), Since::START).unwrap();
    let memberships = registry.memberships(before);
    registry.remove(before);
    let back = registry.insert("back");
    registry.identify(back, &name("bob"), IdentMode::Replace, Since::START).unwrap();
    registry.join(back, &name("private"), Since::START).unwrap();
    registry.restore(back, &memberships);
    assert_eq!(registry.memberships(back), memberships);
    registry.admit(back, Since::START);
    for targets in [Targets::user(name("bob")), Targets::channel(name("private"))] {
        registry.resolve(1, &targets, |value, _, _| panic!("{value} is not a member any more"));
    }
}

/// What was accepted and is not resolved yet: who held which targets when it was accepted.
struct Pending {
    sequence: u64,
    targets: Targets,
    held: Vec<Vec<Option<u64>>>,
}

/// One connection as the model has it: when it was admitted, became each user and joined each channel. Nothing of it is
/// the same a second time, because each has the time of its own beginning.
#[derive(Default)]
struct Member {
    key: Option<ConnectionKey>,
    admitted: Option<u64>,
    users: BTreeMap<usize, u64>,
    channels: BTreeMap<usize, u64>,
}

impl Member {
    /// Since when it has been each of these targets, in the order in which they count.
    fn held(&self, targets: &Targets) -> Vec<Option<u64>> {
        let since = |held: &BTreeMap<usize, u64>, name: &Name| {
            held.get(&name.as_str().parse().unwrap()).copied().filter(|_| self.admitted.is_some())
        };
        let users = targets.users.iter().map(|name| since(&self.users, name));
        let channels = targets.channels.iter().map(|name| since(&self.channels, name));
        users.chain(channels).chain(targets.broadcast.then_some(self.admitted)).collect()
    }
}

/// Random numbers by a seed.
fn below(state: &mut u64, limit: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % limit as u64).unwrap()
}

#[test]
fn a_dispatch_reaches_whoever_was_its_target_when_it_was_accepted_and_still_is_when_it_is_resolved() {
    const MEMBERS: usize = 5;
    const NAMES: usize = 3;
    let mut late = 0;
    for seed in 1..200_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let name = |number: usize| Name::new(&number.to_string()).unwrap();
        let mut registry: Registry<usize> = Registry::new();
        let mut members: [Member; MEMBERS] = Default::default();
        let (mut inbox, mut last, mut time) = (VecDeque::<Pending>::new(), 0, 0);
        for _ in 0..500 {
            time += 1;
            let (index, other) = (below(&mut state, MEMBERS), below(&mut state, NAMES));
            let member = &mut members[index];
            match (below(&mut state, 10), member.key) {
                (0..3, _) => {
                    let mut names = || (0..NAMES).filter(|_| below(&mut state, 2) == 0).map(name).collect();
                    let (users, channels) = (names(), names());
                    let targets = Targets { users, channels, broadcast: below(&mut state, 3) == 0 };
                    last += 1;
                    let held = members.iter().map(|member| member.held(&targets)).collect();
                    inbox.push_back(Pending { sequence: last, targets, held });
                }
                (3..6, _) => {
                    let Some(Pending { sequence, targets, held }) = inbox.pop_front() else { continue };
                    let mut reached = Vec::new();
                    registry.resolve(sequence, &targets, |index, number, _| reached.push((*index, number)));
                    reached.sort_unstable();
                    let held_on = |(index, (member, then)): (usize, (&Member, &Vec<Option<u64>>))| {
                        let now = member.held(&targets);
                        let holds = now.iter().zip(then).position(|(now, then)| now.is_some() && now == then);
                        late += usize::from(now.iter().position(Option::is_some) != holds);
                        Some((index, holds?))
                    };
                    let expected: Vec<_> =
                        members.iter().zip(&held).enumerate().filter_map(held_on).collect();
                    assert_eq!(reached, expected, "seed {seed}, dispatch {sequence}");
                }
                (6, None) => member.key = Some(registry.insert(index)),
                (6, Some(key)) if member.admitted.is_none() => {
                    registry.admit(key, Since(last));
                    member.admitted = Some(time);
                }
                (6, Some(key)) if other == 0 => {
                    registry.remove(key);
                    *member = Member::default();
                }
                (7, Some(key)) => {
                    registry.identify(key, &name(other), IdentMode::Replace, Since(last)).unwrap();
                    let since = *member.users.get(&other).unwrap_or(&time);
                    member.users = BTreeMap::from([(other, since)]);
                }
                (8, Some(key)) => {
                    registry.join(key, &name(other), Since(last)).unwrap();
                    member.channels.entry(other).or_insert(time);
                }
                (9, Some(key)) => {
                    registry.leave(key, &name(other));
                    member.channels.remove(&other);
                }
                _ => {}
            }
        }
    }
    assert!(late > 100, "some came between the acceptance and the resolution: {late}");
}
