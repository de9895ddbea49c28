//! The table against a plain list of connections, and what members of a channel make of what they are told.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::channel::ChannelPattern;
use crate::limits::{PRESENCE_CHANGE_MAX, PRESENCE_LARGE_PERIODS, PRESENCE_USERS_AGAIN, PRESENCE_USERS_MAX};
use crate::membership::Since;
use crate::presence::{Change, Numbers};

const GRACE: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|text| name(text)).collect()
}

fn id(number: usize) -> ConnectionId {
    format!("0-{number}-0").parse().unwrap()
}

fn table() -> Table {
    Table::new(PresenceRules::new([(ChannelPattern::parse("c*").unwrap(), true)]))
}

fn memberships(users: &[Name], channels: &[Name]) -> Memberships {
    let held = |names: &[Name]| names.iter().map(|name| (name.clone(), Since::START)).collect();
    Memberships { users: held(users), channels: held(channels) }
}

/// Begins a period, and returns the channels that are told.
fn period(table: &mut Table) -> Vec<Name> {
    let mut told = Vec::new();
    table.begin_period();
    while table.tell(2, &mut told) {}
    told
}

/// A client that is told who is in a channel, and adds it up.
#[derive(Debug, Default)]
struct Listener {
    version: u64,
    users: BTreeSet<Name>,
    numbers: Numbers,
    is_large: bool,
}

impl Listener {
    /// Hears what was told last, as a change if it has heard the version before.
    fn hear(&mut self, table: &Table, channel: &Name) {
        let Some(told) = table.told(channel) else { return *self = Self::default() };
        match &told.change {
            _ if told.version == self.version => return,
            Some(Change { joined, left }) if told.before == self.version => {
                joined
                    .iter()
                    .for_each(|user| assert!(self.users.insert(user.clone()), "{user:?} joins twice"));
                left.iter().for_each(|user| assert!(self.users.remove(user), "{user:?} leaves twice"));
            }
            _ => self.users = table.users_told(channel).into_iter().collect(),
        }
        (self.version, self.numbers, self.is_large) = (told.version, told.numbers, told.is_large);
    }
}

/// What a connection is, as the oracle sees it.
#[derive(Clone, Debug)]
struct Plain {
    users: Vec<Name>,
    channels: BTreeSet<Name>,
    lost_until: Option<Instant>,
    session: SessionKey,
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize, usize),
    Leave(usize, usize),
    Become(usize, Option<usize>),
    Lose(usize),
    Resume(usize),
    Expire(usize),
    Wait(u64),
    Ask(usize),
    Period,
}

fn step() -> impl Strategy<Value = Step> {
    let (connection, channel) = (|| 0..6_usize, || 0..3_usize);
    prop_oneof![
        4 => (connection(), channel()).prop_map(|(connection, channel)| Step::Join(connection, channel)),
        2 => (connection(), channel()).prop_map(|(connection, channel)| Step::Leave(connection, channel)),
        2 => (connection(), prop::option::of(0..4_usize)).prop_map(|(connection, user)| Step::Become(connection, user)),
        2 => connection().prop_map(Step::Lose),
        2 => connection().prop_map(Step::Resume),
        1 => connection().prop_map(Step::Expire),
        2 => (0..12_u64).prop_map(Step::Wait),
        2 => channel().prop_map(Step::Ask),
        4 => Just(Step::Period),
    ]
}

/// The table beside a list of all connections that count.
struct Model {
    table: Table,
    now: Instant,
    plain: Vec<Plain>,
    /// The connection of each number: lost ones stay in the list, with another one in their place.
    current: Vec<Option<usize>>,
    /// One of each channel that hears at each period, and one that begins anew whenever it asks.
    listeners: Vec<Listener>,
    asking: Vec<Listener>,
}

const CHANNELS: [&str; 3] = ["c1", "c2", "other"];

impl Model {
    fn new() -> Self {
        let listeners = || CHANNELS.iter().map(|_| Listener::default()).collect();
        let (listeners, asking) = (listeners(), listeners());
        let (plain, current) = (Vec::new(), vec![None; 6]);
        Self { table: table(), now: Instant::now(), plain, current, listeners, asking }
    }

    /// The connection of this number, which is opened if there is none.
    fn open(&mut self, number: usize) -> usize {
        *self.current[number].get_or_insert_with(|| {
            let session = SessionKey::of(&self.plain.len().to_le_bytes());
            let plain = Plain { users: Vec::new(), channels: BTreeSet::new(), lost_until: None, session };
            self.plain.push(plain);
            let at = self.plain.len() - 1;
            self.table.admit(Arrival {
                id: id(at),
                session: Some(session),
                memberships: &Memberships::default(),
            });
            at
        })
    }

    fn close(&mut self, number: usize, until: Option<Instant>) {
        let Some(at) = self.current[number].take() else { return };
        self.table.close(id(at), Some(self.plain[at].session), until);
        self.plain[at].lost_until = Some(until.unwrap_or(self.now));
        if self.plain[at].users.is_empty() {
            self.plain[at].lost_until = Some(self.now);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(number, channel) => {
                let (at, channel) = (self.open(number), name(CHANNELS[channel]));
                self.table.join(id(at), &self.plain[at].users, &channel);
                self.plain[at].channels.insert(channel);
            }
            Step::Leave(number, channel) => {
                let (at, channel) = (self.open(number), name(CHANNELS[channel]));
                self.table.leave(id(at), &channel);
                self.plain[at].channels.remove(&channel);
            }
            Step::Become(number, user) => {
                let at = self.open(number);
                self.plain[at].users = user.map(|user| name(&format!("u{user}"))).into_iter().collect();
                let channels: Vec<_> = self.plain[at].channels.iter().cloned().collect();
                self.table.replace(id(at), &memberships(&self.plain[at].users, &channels));
            }
            Step::Lose(number) => self.close(number, Some(self.now + GRACE)),
            Step::Expire(number) => self.close(number, None),
            Step::Resume(number) => self.resume(number),
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                while self.table.expire(self.now, 1) {}
            }
            Step::Ask(channel) => {
                let channel_name = name(CHANNELS[channel]);
                self.table.refresh(&channel_name);
                self.asking[channel] = Listener::default();
                self.asking[channel].hear(&self.table, &channel_name);
            }
            Step::Period => {
                let told = period(&mut self.table);
                let listeners = self.listeners.iter_mut().chain(&mut self.asking);
                for (channel, listener) in CHANNELS.iter().chain(&CHANNELS).zip(listeners) {
                    if told.contains(&name(channel)) {
                        listener.hear(&self.table, &name(channel));
                    }
                }
            }
        }
    }

    /// The client of the last connection that was lost comes back on the connection of this number.
    fn resume(&mut self, number: usize) {
        let now = self.now;
        let is_lost = |plain: &Plain| plain.lost_until.is_some_and(|until| until > now);
        let Some(lost) = self.plain.iter().rposition(is_lost) else { return };
        let at = self.open(number);
        let Plain { users, channels, session, .. } = self.plain[lost].clone();
        self.plain[lost].lost_until = Some(now);
        self.plain[at] = Plain { users, channels, session, lost_until: None };
        let channels: Vec<_> = self.plain[at].channels.iter().cloned().collect();
        self.table.admit(Arrival {
            id: id(at),
            session: Some(session),
            memberships: &memberships(&self.plain[at].users, &channels),
        });
    }

    /// Who is in a channel.
    fn truth(&self, channel: &Name) -> (BTreeSet<Name>, usize) {
        let counts = |plain: &&Plain| {
            plain.channels.contains(channel) && plain.lost_until.is_none_or(|until| until > self.now)
        };
        let members: Vec<_> = self.plain.iter().filter(counts).collect();
        let anonymous = members.iter().filter(|plain| plain.users.is_empty()).count();
        (members.into_iter().flat_map(|plain| plain.users.clone()).collect(), anonymous)
    }

    fn check(&self) {
        let all = CHANNELS.iter().zip(&self.listeners).chain(CHANNELS.iter().zip(&self.asking));
        for (channel, listener) in all.filter(|(channel, _)| channel.starts_with('c')) {
            let (users, anonymous) = self.truth(&name(channel));
            if users.is_empty() && anonymous == 0 {
                assert!(self.table.told(&name(channel)).is_none(), "an empty channel is forgotten");
                continue;
            }
            assert_eq!(listener.users, users, "{channel}");
            assert_eq!(listener.numbers, Numbers { count: users.len(), anonymous, silent: 0 }, "{channel}");
        }
        assert!(self.table.told(&name(CHANNELS[2])).is_none(), "it has no presence");
    }
}

proptest! {
    #[test]
    fn what_members_hear_adds_up_to_who_is_there(steps in prop::collection::vec(step(), 0..120)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        // One for what was told at once, one for what has changed since.
        model.take(Step::Period);
        model.take(Step::Period);
        model.check();
        for number in 0..6 {
            model.close(number, Some(model.now + GRACE));
        }
        model.take(Step::Wait(11));
        period(&mut model.table);
        prop_assert!(model.table.is_empty(), "{:?}", model.table);
    }
}

#[test]
fn users_count_once_and_a_lost_connection_until_its_grace_is_over() {
    let (mut table, now, c) = (table(), Instant::now(), name("c"));
    let adam = names(&["adam"]);
    table.join(id(1), &adam, &c);
    table.join(id(2), &adam, &c);
    table.join(id(3), &[], &c);
    assert_eq!(period(&mut table), names(&["c"]));
    let told = |table: &Table| table.told(&name("c")).map(|told| told.numbers);
    assert_eq!(told(&table), Some(Numbers { count: 1, anonymous: 1, silent: 0 }));
    table.close(id(1), None, Some(now + GRACE));
    table.close(id(2), None, Some(now + GRACE));
    assert!(period(&mut table).is_empty(), "two tabs are closed, and may come back");
    table.join(id(4), &adam, &c);
    assert!(!table.expire(now + GRACE, 10));
    assert!(period(&mut table).is_empty(), "one came back");
    table.leave(id(4), &c);
    assert_eq!(period(&mut table), [c]);
    assert_eq!(told(&table), Some(Numbers { count: 0, anonymous: 1, silent: 0 }), "a LEAVE counts at once");
}

#[test]
fn a_user_that_comes_and_goes_within_a_period_is_not_told() {
    let (mut table, c) = (table(), name("c"));
    table.join(id(1), &names(&["adam"]), &c);
    period(&mut table);
    table.join(id(2), &names(&["eve"]), &c);
    assert_eq!(table.users_told(&c), names(&["adam"]), "what was told, not what is");
    table.leave(id(2), &c);
    assert!(period(&mut table).is_empty());
}

#[test]
fn a_channel_is_told_once_in_a_period_and_at_once_to_the_first_who_asks() {
    let (mut table, c) = (table(), name("c"));
    table.join(id(1), &names(&["adam"]), &c);
    table.refresh(&c);
    assert_eq!(table.users_told(&c), names(&["adam"]), "a client that joins hears of itself");
    table.join(id(2), &names(&["eve"]), &c);
    table.refresh(&c);
    assert_eq!(table.users_told(&c), names(&["adam"]), "the second one waits for the next period");
    assert_eq!(period(&mut table), names(&["c"]));
    assert_eq!(table.users_told(&c), names(&["adam"]), "the others hear what the first one heard");
    assert_eq!(period(&mut table), names(&["c"]));
    let change = table.told(&c).unwrap().change.clone().unwrap();
    assert_eq!(change, Change { joined: names(&["eve"]), left: vec![] });
    table.join(id(3), &names(&["abel"]), &c);
    table.refresh(&c);
    assert_eq!(table.users_told(&c).len(), 2, "the channel was told in this period");
}

#[test]
fn many_changes_are_told_as_a_list_and_many_users_as_a_number_less_often() {
    let (mut table, c) = (table(), name("c"));
    let user = |number: usize| vec![name(&format!("user-{number}"))];
    let join = |table: &mut Table, numbers: std::ops::Range<usize>| {
        numbers.for_each(|number| table.join(id(number), &user(number), &name("c")));
    };
    let told = |table: &Table| Arc::clone(table.told(&name("c")).unwrap());
    join(&mut table, 0..PRESENCE_CHANGE_MAX);
    period(&mut table);
    assert!(told(&table).change.is_some());
    join(&mut table, PRESENCE_CHANGE_MAX..2 * PRESENCE_CHANGE_MAX + 1);
    period(&mut table);
    assert_eq!(
        (told(&table).change.clone(), table.users_told(&c).len()),
        (None, 2 * PRESENCE_CHANGE_MAX + 1)
    );
    join(&mut table, 0..PRESENCE_USERS_MAX);
    period(&mut table);
    assert!(!told(&table).is_large, "so many are named");
    join(&mut table, PRESENCE_USERS_MAX..PRESENCE_USERS_MAX + 1);
    period(&mut table);
    assert!(told(&table).is_large && table.users_told(&c).is_empty());
    for number in 0..PRESENCE_USERS_MAX + 2 - PRESENCE_USERS_AGAIN {
        table.leave(id(number), &c);
    }
    let periods = (1..).take_while(|_| period(&mut table).is_empty()).count() as u64;
    assert_eq!(periods, PRESENCE_LARGE_PERIODS - 1);
    assert_eq!(told(&table).numbers.count, PRESENCE_USERS_AGAIN - 1);
    assert_eq!((told(&table).is_large, table.users_told(&c).len()), (false, PRESENCE_USERS_AGAIN - 1));
}

#[test]
fn a_session_that_was_found_counts_until_its_client_is_back() {
    let (mut table, now, c) = (table(), Instant::now(), name("c"));
    let own = memberships(&names(&["adam"]), &names(&["c", "other"]));
    let session = SessionKey::of(b"id");
    table.found(session, &own, now + GRACE);
    table.found(SessionKey::of(b"other"), &memberships(&[], &names(&["c"])), now + GRACE);
    period(&mut table);
    assert_eq!((table.users_told(&c), table.lost()), (names(&["adam"]), 1));
    table.admit(Arrival { id: id(1), session: Some(session), memberships: &own });
    assert!(period(&mut table).is_empty(), "a deploy is silent");
    assert!(!table.expire(now + 2 * GRACE, 10));
    assert_eq!((table.users_told(&c), table.lost()), (names(&["adam"]), 0));
}

#[test]
fn a_session_that_goes_on_at_another_node_counts_until_that_one_has_said_so() {
    let (mut table, now, c) = (table(), Instant::now(), name("c"));
    let session = SessionKey::of(b"id");
    table.join(id(1), &names(&["adam"]), &c);
    table.close(id(1), Some(session), Some(now + GRACE));
    table.hand_over(session, now + GRACE / 4);
    table.hand_over(SessionKey::of(b"other"), now);
    assert!(!table.expire(now + GRACE / 5, 10));
    assert_eq!(table.lost(), 1);
    assert!(!table.expire(now + GRACE / 4, 10));
    assert!(table.is_empty(), "{table:?}");
}

#[test]
fn lost_connections_are_bounded_and_the_oldest_give_way() {
    let (mut table, now) = (table(), Instant::now());
    let long = |number: usize| format!("{number:0>255}");
    let channels: Vec<_> = (0..128).map(|number| name(&format!("c{}", &long(number)[1..]))).collect();
    for number in 0..2_000 {
        let users = [name(&long(number))];
        table.replace(id(number), &memberships(&users, &channels));
        table.close(id(number), None, Some(now + GRACE));
    }
    assert!((500..2_000).contains(&table.lost()), "{} connections", table.lost());
    assert!(table.lost_bytes <= PRESENCE_LOST_BYTES_MAX);
    let counted = |number: usize| table.lost.values().any(|lost| lost.held.users == [name(&long(number))]);
    assert!(counted(1_999) && !counted(0), "the oldest give way");
}
