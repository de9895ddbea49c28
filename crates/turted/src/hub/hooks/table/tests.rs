//! A table, and what it tells of what becomes of connections.

use std::time::Duration;

use turted_core::membership::Since;
use turted_core::registry::Registry;

use super::*;

const GRACE: Duration = Duration::from_secs(5);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn names(list: &[&str]) -> Vec<(Name, Since)> {
    list.iter().map(|text| (name(text), Since::START)).collect()
}

fn is(users: &[&str], channels: &[&str]) -> Memberships {
    Memberships { users: names(users), channels: names(channels) }
}

fn session(number: u8) -> SessionKey {
    SessionKey::of(&[number])
}

/// A table with what it told, in short.
struct Told {
    table: Table,
    told: Vec<String>,
    start: Instant,
    ids: Vec<ConnectionId>,
}

fn short(record: &Record) -> String {
    match record {
        Record::UserOnline { user } => format!("+{}", user.as_str()),
        Record::UserOffline { user, reason } => format!("-{} {reason}", user.as_str()),
        Record::Joined { user, channel } => format!("+{}@{}", user.as_str(), channel.as_str()),
        Record::Left { user, channel, reason } => format!("-{}@{} {reason}", user.as_str(), channel.as_str()),
        Record::Connected { connection } => format!("+#{connection}"),
        Record::Disconnected { connection, reason } => format!("-#{connection} {reason}"),
        other => panic!("a table does not tell {other:?}"),
    }
}

impl Told {
    fn new() -> Self {
        let mut registry = Registry::new();
        let ids = (0..8).map(|_| ConnectionId::new(0, registry.insert(()))).collect();
        Self { table: Table::default(), told: Vec::new(), start: Instant::now(), ids }
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Table, &[ConnectionId], Tell<'_>) -> T) -> T {
        let Self { table, told, ids, .. } = self;
        change(table, ids, &mut |record| told.push(short(&record)))
    }

    /// Admits a connection, whose name is its number. What is told of that is left out.
    fn admit(&mut self, id: usize, of: &Memberships) {
        self.admit_as(id, &id.to_string(), (None, of));
        self.told.retain(|told| *told != format!("+#{id}"));
    }

    fn admit_as(
        &mut self,
        id: usize,
        name: &str,
        (session, memberships): (Option<SessionKey>, &Memberships),
    ) {
        self.change(|table, ids, tell| {
            table.admit(Arrival { id: ids[id], name: name.into(), session, memberships }, tell);
        });
    }

    /// Closes a connection. What is told of that alone is left out.
    fn close(&mut self, id: usize, close: Close) {
        self.close_at(id, None, Duration::ZERO, close);
        self.told.retain(|told| !told.starts_with("-#"));
    }

    fn close_at(&mut self, id: usize, session: Option<SessionKey>, at: Duration, close: Close) {
        let until = self.start + at + GRACE;
        self.change(|table, ids, tell| table.close(ids[id], (session, until), close, tell));
    }

    /// What was told since this was asked last.
    fn since(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn at(&mut self, at: Duration) -> Vec<String> {
        let now = self.start + at;
        let next = self.change(|table, _, tell| table.expire(now, 100, tell));
        assert_eq!(next, self.table.next_expiry());
        assert!(next.is_none_or(|next| next > now));
        self.since()
    }

    fn assert_empty(&self) {
        let Table { connections, users, lost, lost_bytes, sessions } = &self.table;
        let left = (connections.len(), users.len(), lost.len(), *lost_bytes, sessions.len());
        assert_eq!(left, (0, 0, 0, 0, 0), "connections, users, lost, their bytes, sessions");
    }
}

#[test]
fn a_user_is_online_with_the_first_connection_and_offline_when_the_last_is_gone_for_the_grace() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &["chat"]));
    assert_eq!(told.since(), ["+adam", "+adam@chat"]);
    told.admit(1, &is(&["adam"], &["chat", "news"]));
    assert_eq!(told.since(), ["+adam@news"]);
    told.close(0, Close::ByClient);
    assert!(told.at(GRACE).is_empty(), "another connection is there");
    told.close(1, Close::TransportLost);
    assert!(told.at(GRACE - Duration::from_millis(1)).is_empty());
    let gone = ["-adam@chat transport lost", "-adam@news transport lost", "-adam transport lost"];
    assert_eq!(told.at(GRACE), gone);
    told.assert_empty();
}

#[test]
fn who_comes_back_within_the_grace_causes_nothing() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &["chat"]));
    told.since();
    for id in 1..6 {
        told.close(id - 1, Close::ByClient);
        told.admit(id, &is(&["adam"], &["chat"]));
    }
    assert!(told.at(GRACE).is_empty());
    told.close(5, Close::ByClient);
    told.admit(6, &is(&["adam"], &[]));
    assert_eq!(told.at(GRACE), ["-adam@chat closed by the client"], "it is not in the channel again");
}

#[test]
fn what_a_client_says_counts_at_once() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &["chat"]));
    told.change(|table, ids, tell| table.join(ids[0], &name("news"), &mut *tell));
    told.change(|table, ids, tell| table.join(ids[0], &name("news"), &mut *tell));
    told.change(|table, ids, tell| table.leave(ids[0], &name("chat"), &mut *tell));
    told.change(|table, ids, tell| table.leave(ids[0], &name("chat"), &mut *tell));
    assert_eq!(told.since(), ["+adam", "+adam@chat", "+adam@news", "-adam@chat LEAVE"]);
    let eve = is(&["eve"], &["news"]);
    told.change(|table, ids, tell| table.replace(ids[0], &eve, OTHER_IDENT, tell));
    assert_eq!(told.since(), ["+eve", "+eve@news", "-adam@news another IDENT", "-adam another IDENT"]);
    told.change(|table, ids, tell| table.replace(ids[0], &eve, OTHER_IDENT, tell));
    assert!(told.since().is_empty(), "nothing changed");
    told.change(|table, ids, tell| table.replace(ids[0], &is(&[], &[]), EXPIRED, tell));
    assert_eq!(told.since(), ["-eve@news token expired", "-eve token expired"]);
    told.close(0, Close::ByClient);
    told.assert_empty();
}

#[test]
fn a_stream_whose_token_expires_ends_at_once() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &[]));
    told.close(0, Close::Expired);
    assert_eq!(told.since(), ["+adam", "-adam token expired"]);
    told.assert_empty();
}

#[test]
fn what_a_stop_closes_is_not_told() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &["chat"]));
    told.since();
    told.close(0, Close::Drain);
    assert!(told.at(GRACE * 100).is_empty());
}

#[test]
fn a_resumed_session_does_not_hold_up_what_its_client_says() {
    let mut told = Told::new();
    told.admit_as(0, "a", (Some(session(1)), &is(&["adam"], &["chat", "news"])));
    told.since();
    told.close_at(0, Some(session(1)), Duration::ZERO, Close::TransportLost);
    told.admit_as(1, "a", (Some(session(1)), &is(&["adam"], &["chat"])));
    assert_eq!(told.since(), ["-adam@news transport lost"], "it has lost that channel");
    told.change(|table, ids, tell| table.leave(ids[1], &name("chat"), tell));
    assert_eq!(told.since(), ["-adam@chat LEAVE"]);
    // It is lost once more, and its first connection is forgotten by now.
    told.close_at(1, Some(session(1)), GRACE, Close::TransportLost);
    assert!(told.at(GRACE).is_empty());
    assert_eq!(told.at(GRACE * 2), ["-#a transport lost", "-adam transport lost"]);
    told.assert_empty();
}

#[test]
fn a_resume_is_neither_the_end_of_a_connection_nor_the_beginning_of_one() {
    let mut told = Told::new();
    let nobody = is(&[], &[]);
    told.admit_as(0, "a", (Some(session(1)), &nobody));
    told.close_at(0, Some(session(1)), Duration::ZERO, Close::TransportLost);
    told.admit_as(1, "a", (Some(session(1)), &nobody));
    assert_eq!(told.since(), ["+#a"]);
    // A client that connects before it resumes has had another connection for a moment.
    told.close_at(1, Some(session(1)), Duration::ZERO, Close::Superseded);
    told.admit_as(2, "b", (Some(session(2)), &nobody));
    told.admit_as(2, "a", (Some(session(1)), &nobody));
    assert_eq!(told.since(), ["+#b", "-#b resumed another session"]);
    told.close_at(2, Some(session(1)), Duration::ZERO, Close::PingTimeout);
    assert_eq!(told.at(GRACE), ["-#a ping timeout"]);
    told.admit_as(3, "a", (Some(session(1)), &nobody));
    assert_eq!(told.since(), ["+#a"], "its end was told");
    told.close_at(3, Some(session(1)), GRACE, Close::ByClient);
    assert_eq!(told.since(), ["-#a closed by the client"], "it cannot be resumed");
    told.assert_empty();
}

#[test]
fn a_connection_of_several_users_counts_for_each() {
    let mut told = Told::new();
    told.admit(0, &is(&["adam"], &["chat"]));
    told.change(|table, ids, tell| {
        table.replace(ids[0], &is(&["adam", "eve"], &["chat"]), OTHER_IDENT, tell)
    });
    assert_eq!(told.since(), ["+adam", "+adam@chat", "+eve", "+eve@chat"]);
    told.close(0, Close::ByClient);
    assert_eq!(told.at(GRACE).len(), 4);
    told.assert_empty();
}

#[test]
fn a_connection_that_is_no_user_is_not_told_and_leaves_nothing() {
    let mut told = Told::new();
    told.admit(0, &is(&[], &["chat"]));
    told.change(|table, ids, tell| table.join(ids[0], &name("news"), tell));
    // Another one is not admitted yet.
    told.change(|table, ids, tell| table.join(ids[1], &name("news"), tell));
    told.close(0, Close::TransportLost);
    told.close(1, Close::TransportLost);
    assert!(told.since().is_empty());
    told.assert_empty();
}

#[test]
fn all_are_told_in_portions_whatever_changes_between() {
    let mut told = Told::new();
    told.admit(0, &is(&["a"], &["x", "y"]));
    told.admit(1, &is(&["b"], &["x"]));
    told.admit(2, &is(&["d"], &[]));
    let (mut place, mut all) = (told.table.begin(), Vec::new());
    let mut next = |table: &Table| table.next_of_all(&mut place).as_ref().map(short);
    all.extend(next(&told.table));
    all.extend(next(&told.table));
    told.close(0, Close::Expired);
    told.admit(3, &is(&["c"], &[]));
    all.extend(std::iter::from_fn(|| next(&told.table)));
    assert_eq!(all, ["+a", "+a@x", "+b", "+b@x", "+c", "+d"]);
}

#[test]
fn when_too_many_have_ended_the_oldest_counts_no_longer() {
    let (mut told, mut registry) = (Told::new(), Registry::new());
    told.ids = (0..=HOOK_LOST_MAX).map(|_| ConnectionId::new(0, registry.insert(()))).collect();
    for number in 0..=HOOK_LOST_MAX {
        told.admit(number, &is(&[&number.to_string()], &[]));
        told.since();
    }
    for number in 0..HOOK_LOST_MAX {
        told.close(number, Close::ByClient);
        assert!(told.since().is_empty());
    }
    told.close_at(HOOK_LOST_MAX, None, Duration::from_secs(1), Close::ByClient);
    let ended = format!("-#{HOOK_LOST_MAX} closed by the client");
    assert_eq!(told.since(), [&*ended, "-0 closed by the client"]);
}

#[test]
fn when_those_that_have_ended_take_too_many_bytes_the_oldest_count_no_longer() {
    let (mut told, mut registry) = (Told::new(), Registry::new());
    // 300 for the connection, 455 for each name.
    let fit = HOOK_LOST_BYTES_MAX / (300 + 128 * (255 + 200));
    told.ids = (0..=fit).map(|_| ConnectionId::new(0, registry.insert(()))).collect();
    let channels: Vec<_> = (0..127).map(|number| format!("{number:0>255}")).collect();
    let channels: Vec<_> = channels.iter().map(String::as_str).collect();
    let shared = is(&[&"u".repeat(255)], &channels);
    for number in 0..=fit {
        told.admit(number, &shared);
    }
    told.since();
    for number in 0..=fit {
        assert_eq!(told.table.lost.len(), number);
        told.close(number, Close::ByClient);
    }
    assert_eq!(told.table.lost.len(), fit);
    assert!(told.table.lost_bytes <= HOOK_LOST_BYTES_MAX);
    let end = told.start + GRACE;
    told.change(|table, _, tell| table.expire(end, usize::MAX, tell));
    assert_eq!((told.table.lost.len(), told.table.lost_bytes), (0, 0));
}
