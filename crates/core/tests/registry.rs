//! The book-keeping of a shard: another connection may take a place over, but not the memberships that
//! belonged to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use turted_core::dispatch::Targets;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::registry::{IdentMode, Registry};

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
    registry.admit(stranger);
    for targets in [Targets::user(alice), Targets::channel(chat)] {
        registry.resolve(&targets, |value, _, _| panic!("{value} is not a member"));
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
    registry.admit(back);
    for targets in [Targets::user(name("bob")), Targets::channel(name("private"))] {
        registry.resolve(&targets, |value, _, _| panic!("{value} is not a member any more"));
    }
}
