//! What a hook has heard, and in which order it is taken out.

use std::time::Duration;

use turted_core::limits::HOOK_RECORDS_MAX;
use turted_core::membership::Since;
use turted_core::registry::Registry;

use super::*;
use crate::hub::hooks::table::OTHER_IDENT;

mod flood;

const ALL: [ClientRecord; 6] = [
    ClientRecord::UserOnline,
    ClientRecord::UserOffline,
    ClientRecord::Joined,
    ClientRecord::Left,
    ClientRecord::Connected,
    ClientRecord::Disconnected,
];

fn names(list: &[&str]) -> Vec<(Name, Since)> {
    list.iter().map(|text| (Name::new(text).unwrap(), Since::START)).collect()
}

fn is(users: &[&str], channels: &[&str]) -> Memberships {
    Memberships { users: names(users), channels: names(channels) }
}

fn ids(count: usize) -> Vec<ConnectionId> {
    let mut registry = Registry::new();
    (0..count).map(|_| ConnectionId::new(0, registry.insert(()))).collect()
}

fn admit(heard: &mut Heard, id: ConnectionId, memberships: &Memberships) {
    heard.admitted(Arrival { id, name: id.to_string().into(), session: None, memberships });
}

/// The connection is two users in turn, so many times, in these channels.
fn toggle(heard: &mut Heard, id: ConnectionId, times: usize, channels: &[&str]) {
    for number in 0..times {
        heard.became(id, &is(&[&format!("flip-{}", number % 2)], channels), OTHER_IDENT);
    }
}

fn take(heard: &mut Heard, room: usize) -> Vec<String> {
    let short = |waiting: Waiting| match waiting.record {
        Record::Started => "started".to_owned(),
        Record::Synced => "synced".to_owned(),
        Record::Stopped => "stopped".to_owned(),
        Record::Gap { dropped } => format!("gap {dropped}"),
        Record::UserOnline { user } => format!("+{}", user.as_str()),
        Record::UserOffline { user, .. } => format!("-{}", user.as_str()),
        Record::Joined { user, channel } => format!("+{}@{}", user.as_str(), channel.as_str()),
        Record::Left { user, channel, .. } => format!("-{}@{}", user.as_str(), channel.as_str()),
        Record::Connected { .. } => "connected".to_owned(),
        Record::Disconnected { .. } => "disconnected".to_owned(),
        Record::Dispatch(written) => format!("dispatch {}", written),
        Record::NodeGone { node } => format!("gone {node}"),
        other => panic!("{other:?}"),
    };
    heard.take(room, usize::MAX).into_iter().map(short).collect()
}

#[test]
fn the_start_comes_first_and_then_all_who_are_online_in_portions() {
    let (mut heard, ids) = (Heard::new(&ALL), ids(3));
    admit(&mut heard, ids[0], &is(&["adam"], &["chat"]));
    assert_eq!(take(&mut heard, 3), ["started", "+adam", "connected"]);
    admit(&mut heard, ids[1], &is(&["eve"], &[]));
    assert_eq!(take(&mut heard, 4), ["+adam@chat", "synced", "+adam", "+adam@chat"]);
    heard.left(ids[0], &Name::new("chat").unwrap());
    assert!(!heard.is_idle());
    assert_eq!(take(&mut heard, 9), ["connected", "+eve", "-adam@chat"]);
    assert!(heard.is_idle());
    assert!(take(&mut heard, 9).is_empty());
}

#[test]
fn a_gap_is_told_before_what_is_left_and_all_are_told_behind_it() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::UserOnline, ClientRecord::UserOffline]), ids(1));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    take(&mut heard, 9);
    toggle(&mut heard, ids[0], HOOK_RECORDS_MAX / 2, &[]);
    assert_eq!((heard.waiting().0, heard.dropped), (HOOK_RECORDS_MAX, 0));
    heard.became(ids[0], &is(&["eve"], &[]), OTHER_IDENT);
    assert_eq!((heard.waiting().0, heard.dropped), (1, HOOK_RECORDS_MAX as u64 + 1));
    let gap = format!("gap {}", HOOK_RECORDS_MAX + 1);
    assert_eq!(take(&mut heard, 9), [&*gap, "+eve", "synced", "-flip-1"]);
    heard.refused(7, 7);
    assert_eq!(take(&mut heard, 9), ["gap 7", "+eve", "synced"]);
    assert_eq!(heard.dropped, HOOK_RECORDS_MAX as u64 + 8);
}

#[test]
fn a_telling_that_is_under_way_ends_before_a_gap_begins_another_one() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::UserOnline]), ids(2));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    admit(&mut heard, ids[1], &is(&["eve"], &[]));
    assert_eq!(take(&mut heard, 3), ["started", "+adam", "+adam"]);
    heard.refused(2, 2);
    assert_eq!(take(&mut heard, 2), ["+eve", "+eve"]);
    assert_eq!(take(&mut heard, 9), ["synced"]);
    assert_eq!(take(&mut heard, 9), ["gap 2", "+adam", "+eve", "synced"]);
    assert!(heard.is_idle());
}

#[test]
fn a_node_that_is_gone_is_told_whatever_is_dropped() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::UserOnline, ClientRecord::UserOffline]), ids(1));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    take(&mut heard, 9);
    heard.node_gone("app-2");
    assert!(!heard.is_idle());
    toggle(&mut heard, ids[0], HOOK_RECORDS_MAX, &[]);
    let told = take(&mut heard, 2);
    assert!(told[0].starts_with("gap ") && told[1] == "gone app-2", "{told:?}");
}

#[test]
fn all_who_are_online_are_told_anew_as_behind_a_start() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::UserOnline]), ids(1));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    assert_eq!(take(&mut heard, 2), ["started", "+adam"]);
    heard.tell_anew();
    assert_eq!(take(&mut heard, 9), ["started", "+adam", "synced"]);
    assert!(heard.is_idle());
}

#[test]
fn a_hook_hears_only_what_it_asks_for() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::Joined, ClientRecord::Disconnected]), ids(1));
    take(&mut heard, 9);
    admit(&mut heard, ids[0], &is(&["adam"], &["chat"]));
    heard.refused(1, 1);
    assert_eq!(take(&mut heard, 9), ["gap 1", "+adam@chat", "synced", "+adam@chat"]);
    heard.closed(ids[0], (None, Instant::now()), Close::ByClient);
    assert_eq!(take(&mut heard, 9), ["disconnected"]);
    assert_eq!(heard.expire(Instant::now()), None);
    assert!(heard.is_idle());
}

#[test]
fn one_connection_is_told_once_also_if_it_resumes() {
    let (mut heard, ids) = (Heard::new(&ALL), ids(1));
    take(&mut heard, 9);
    admit(&mut heard, ids[0], &is(&[], &[]));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    heard.closed(ids[0], (None, Instant::now()), Close::ByClient);
    heard.closed(ids[0], (None, Instant::now()), Close::ByClient);
    assert_eq!(take(&mut heard, 9), ["connected", "+adam", "disconnected"]);
}

#[test]
fn many_who_are_online_are_told_in_bounded_steps() {
    let mut heard = Heard::new(&[ClientRecord::Joined]);
    for id in ids(STEPS_MAX + 10) {
        admit(&mut heard, id, &is(&[&id.slot().to_string()], &[]));
    }
    assert_eq!(take(&mut heard, 9), ["started"], "the steps of one hold of the lock are used up");
    assert!(!heard.is_idle());
    assert_eq!(take(&mut heard, 9), ["synced"]);
}

#[test]
fn nobody_is_left_out_where_one_portion_ends_and_the_next_begins() {
    let (mut heard, many) = (Heard::new(&[ClientRecord::UserOnline]), 3 * STEPS_MAX / 20);
    let channels: Vec<_> = (0..20).map(|number| format!("c{number}")).collect();
    let channels: Vec<_> = channels.iter().map(String::as_str).collect();
    for id in ids(many) {
        admit(&mut heard, id, &is(&[&format!("u{}", id.slot())], &channels));
    }
    let drain = |heard: &mut Heard| {
        let portions = std::iter::from_fn(|| (!heard.is_idle()).then(|| take(heard, 2 * many)));
        portions.flatten().filter(|record| record.starts_with('+')).count()
    };
    drain(&mut heard);
    heard.refused(1, 1);
    assert_eq!(drain(&mut heard), many);
}

#[test]
fn after_the_start_all_are_told_when_the_grace_is_over_and_not_before() {
    let (mut heard, ids, start) = (Heard::new(&ALL), ids(1), Instant::now());
    let until = start + Duration::from_secs(5);
    heard.hold(until);
    assert!(!heard.is_idle());
    assert_eq!(take(&mut heard, 9), ["started"]);
    assert_eq!((heard.is_idle(), heard.expire(start)), (true, Some(until)));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    assert_eq!(take(&mut heard, 9), ["connected", "+adam"], "a change is told at once");
    heard.refused(1, 1);
    assert_eq!(take(&mut heard, 9), ["gap 1"]);
    assert_eq!((heard.is_idle(), heard.expire(until)), (true, None));
    assert!(!heard.is_idle());
    assert_eq!(take(&mut heard, 9), ["+adam", "synced"]);
    assert!(heard.is_idle());
}

#[test]
fn a_hook_that_hears_of_no_clients_is_not_told_who_is_online() {
    let (mut heard, ids) = (Heard::new(&[]), ids(1));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    heard.refused(1, 1);
    assert_eq!(take(&mut heard, 9), ["started", "gap 1"]);
    assert!(heard.is_idle());
}

#[test]
fn the_end_comes_once_and_last_of_all_also_in_the_middle_of_telling_all() {
    let (mut heard, ids) = (Heard::new(&[ClientRecord::UserOnline]), ids(2));
    admit(&mut heard, ids[0], &is(&["adam"], &[]));
    admit(&mut heard, ids[1], &is(&["eve"], &[]));
    assert_eq!(take(&mut heard, 3), ["started", "+adam", "+adam"]);
    heard.stop();
    assert_eq!(take(&mut heard, 1), ["+eve"]);
    assert!(!heard.is_idle());
    assert_eq!(take(&mut heard, 2), ["stopped"]);
    heard.stop();
    heard.refused(1, 1);
    assert!(heard.is_idle(), "nothing comes behind it");
}
