//! What a node makes of what others tell it.
//!
//! | file | what |
//! |---|---|
//! | `network` | nodes that tell each other who is there, over a network that loses messages |

mod network;

use super::*;
use crate::channel::ChannelPattern;
use crate::connection_id::ConnectionId;
use crate::limits::{PRESENCE_PORTION_BYTES, PRESENCE_USERS_MAX};
use crate::name::Name;
use crate::presence::{Group, Numbers, PresenceRules};

const GRACES: Graces = Graces { lost: Duration::from_secs(10), left: Duration::from_secs(30) };
const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id(number: usize) -> ConnectionId {
    format!("0-{number}-0").parse().unwrap()
}

fn table() -> Table {
    let mut table = Table::new(PresenceRules::new([(ChannelPattern::parse("c*").unwrap(), true)]));
    table.share();
    table
}

fn sight(node: usize) -> Sight {
    Sight { process: node as u64, node: u16::try_from(node).unwrap(), is_draining: false }
}

/// One node that hears another one.
struct Pair {
    table: Table,
    other: Table,
    now: Instant,
    nodes: Vec<Sight>,
    gone: Vec<u64>,
    is_known: bool,
}

impl Pair {
    /// The other one has a user in a channel, and this one knows.
    fn new() -> Self {
        let (table, other) = (table(), table());
        let mut pair = Self {
            table,
            other,
            now: Instant::now(),
            nodes: vec![sight(1)],
            gone: Vec::new(),
            is_known: true,
        };
        pair.other.join(id(1), &[name("adam")], &name("c"));
        pair.second(true);
        assert_eq!((pair.users(), pair.table.silent()), (vec![name("adam")], 0));
        pair
    }

    fn users(&self) -> Vec<Name> {
        self.table.users_told(&name("c"))
    }

    /// A second goes by, in which the other one `speaks`.
    fn second(&mut self, speaks: bool) {
        self.now += SECOND;
        let vicinity = Vicinity { nodes: &self.nodes, gone: &self.gone, is_known: self.is_known };
        let mut questions = self.table.look(&vicinity, GRACES, self.now);
        let told = self.other.changes().or_else(|| self.other.beacon()).filter(|_| speaks);
        questions.extend(told.map_or(Vec::new(), |told| self.table.hear_changes(1, &told, self.now)));
        while let Some(question) = questions.pop().filter(|_| speaks) {
            let portion = self.other.portion(question.after).unwrap();
            questions.extend(self.table.hear_portion(1, &portion, self.now));
        }
        while self.table.forget_gone(self.now, 1) {}
        self.table.begin_period();
        while self.table.tell(8, &mut Vec::new()) {}
    }

    fn seconds(&mut self, seconds: usize, speaks: bool) {
        (0..seconds).for_each(|_| self.second(speaks));
    }
}

#[test]
fn a_node_that_is_gone_is_silent_and_its_users_leave_after_their_grace() {
    let mut pair = Pair::new();
    pair.seconds(5, false);
    assert_eq!(pair.table.silent(), 0);
    pair.seconds(1, false);
    assert_eq!((pair.users().len(), pair.table.silent()), (1, 1), "it has its lease still");
    (pair.nodes, pair.gone) = (Vec::new(), vec![1]);
    pair.seconds(10, false);
    assert_eq!((pair.users().len(), pair.table.silent()), (1, 1));
    pair.seconds(2, false);
    assert_eq!((pair.users().len(), pair.table.silent(), pair.table.copied().users), (0, 0, 0));
}

#[test]
fn a_node_that_comes_back_within_the_grace_was_never_away() {
    let mut pair = Pair::new();
    (pair.nodes, pair.gone) = (Vec::new(), vec![1]);
    pair.seconds(9, false);
    (pair.nodes, pair.gone) = (vec![sight(1)], Vec::new());
    let before = pair.table.told(&name("c")).unwrap().version;
    pair.seconds(20, true);
    let told = pair.table.told(&name("c")).unwrap();
    assert_eq!((pair.users().len(), told.numbers.silent), (1, 0));
    assert!(told.version <= before + 1, "at most that it is not silent any more");
}

#[test]
fn a_node_that_comes_back_while_it_is_forgotten_is_asked_for_all() {
    let mut pair = Pair::new();
    pair.other.join(id(2), &[name("eve")], &name("c"));
    pair.seconds(2, true);
    (pair.nodes, pair.gone) = (Vec::new(), vec![1]);
    pair.second(false);
    assert!(pair.table.forget_gone(pair.now + GRACES.lost, 1));
    pair.nodes = vec![sight(1)];
    pair.seconds(2, true);
    assert_eq!((pair.users(), pair.table.silent()), (vec![name("adam"), name("eve")], 0));
}

#[test]
fn a_portion_that_ends_before_it_begins_is_none() {
    let mut pair = Pair::new();
    let place = |user: &str| Some(Place { channel: name("c"), user: Some(name(user)) });
    pair.table.others.nodes.get_mut(&1).unwrap().stage = Stage::Asked(place("b"), pair.now);
    for upto in [place("a"), place("b")] {
        let portion = Portion { sequence: 9, after: place("b"), upto, groups: Vec::new() };
        assert!(pair.table.hear_portion(1, &portion, pair.now).is_empty());
    }
    assert_eq!(pair.table.others.nodes[&1].stage, Stage::Asked(place("b"), pair.now));
}

#[test]
fn a_node_that_has_left_is_not_silent_and_its_users_stay_as_in_a_deploy() {
    let mut pair = Pair::new();
    pair.nodes = Vec::new();
    pair.seconds(29, false);
    assert_eq!((pair.users().len(), pair.table.silent()), (1, 0));
    pair.seconds(3, false);
    assert_eq!(pair.users().len(), 0);
}

#[test]
fn no_node_goes_while_the_log_is_not_followed() {
    let mut pair = Pair::new();
    (pair.nodes, pair.gone, pair.is_known) = (Vec::new(), vec![1], false);
    pair.seconds(100, false);
    assert_eq!((pair.users().len(), pair.table.silent()), (1, 1));
}

#[test]
fn a_node_of_which_nothing_is_known_is_silent_unless_it_is_new() {
    for (is_known, silent) in [(true, 0), (false, 1)] {
        let mut table = table();
        let vicinity = Vicinity { nodes: &[sight(1)], gone: &[], is_known };
        let now = Instant::now();
        assert_eq!(table.look(&vicinity, GRACES, now), [Question { node: 1, after: None }]);
        assert_eq!(table.silent(), silent);
        assert!(table.look(&vicinity, GRACES, now + SECOND).is_empty(), "it is waited for");
        assert_eq!(table.look(&vicinity, GRACES, now + 6 * SECOND).len(), 1);
        assert_eq!(table.silent(), 1);
    }
}

#[test]
fn all_of_a_node_comes_in_portions_while_it_changes() {
    let mut pair = Pair::new();
    let user = |number: usize| name(&format!("user-{number:05}"));
    (0..3_000).for_each(|number| pair.other.join(id(10 + number), &[user(number)], &name("c")));
    let now = pair.now;
    pair.table.others.nodes.get_mut(&1).unwrap().stage = Stage::Wanted;
    let mut questions = pair.table.others.ask(now);
    let mut portions = 0;
    while let Some(question) = questions.pop() {
        let portion = pair.other.portion(question.after).unwrap();
        portions += 1;
        questions.extend(pair.table.hear_portion(1, &portion, now));
        // One that was told already goes, and one comes that is behind what was told.
        pair.other.close(id(10 + portions), None, None);
        pair.other.join(id(5_000 + portions), &[name(&format!("zz-{portions}"))], &name("c"));
        while let Some(changes) = pair.other.changes() {
            questions.extend(pair.table.hear_changes(1, &changes, now));
        }
    }
    assert!((4..40).contains(&portions), "{portions}");
    pair.seconds(2, true);
    // As many came as went, and adam is there.
    assert_eq!(pair.table.told(&name("c")).unwrap().numbers.count, 3_001);
    assert!(pair.table.told(&name("c")).unwrap().numbers.count > PRESENCE_USERS_MAX);
}

#[test]
fn what_a_message_says_twice_counts_once_and_other_channels_do_not_count() {
    let mut pair = Pair::new();
    let group = |channel: &str, present: &[&str], absent: &[&str]| Group {
        channel: name(channel),
        anonymous: Some(2),
        present: present.iter().map(|user| name(user)).collect(),
        absent: absent.iter().map(|user| name(user)).collect(),
    };
    let groups =
        vec![group("c", &["eve", "eve"], &["nobody"]), group("c", &["eve"], &[]), group("x", &["eve"], &[])];
    let sequence = pair.table.others.nodes[&1].sequence + 1;
    let changes = Changes { sequence, groups };
    pair.table.hear_changes(1, &changes, pair.now);
    pair.table.hear_changes(1, &changes, pair.now);
    pair.table.hear_changes(7, &changes, pair.now);
    pair.second(false);
    assert_eq!(pair.table.told(&name("c")).unwrap().numbers, Numbers { count: 2, anonymous: 2, silent: 0 });
    assert!(pair.table.told(&name("x")).is_none());
}

#[test]
fn what_other_nodes_tell_is_bounded_and_a_node_of_which_something_is_left_out_is_silent() {
    let mut pair = Pair::new();
    pair.table.others.bytes = PRESENCE_OTHERS_BYTES_MAX - 1_000;
    (0..20).for_each(|number| pair.other.join(id(10 + number), &[name(&format!("u{number}"))], &name("c")));
    pair.seconds(2, true);
    let copied = pair.table.copied();
    assert_eq!(copied.silent, 1);
    assert!(copied.left_out > 0 && copied.users < 20 && copied.users > 1, "{copied:?}");
    assert!(pair.table.others.bytes <= PRESENCE_OTHERS_BYTES_MAX);
    // There is room again.
    pair.table.others.bytes = pair.table.others.nodes[&1].copy.bytes();
    pair.seconds(70, true);
    assert_eq!((pair.table.silent(), pair.table.copied().users), (0, 21));
}

#[test]
fn a_message_of_changes_has_about_as_many_names_as_a_portion() {
    let mut other = table();
    let long = |number: usize| name(&format!("{number:0>255}"));
    (0..500).for_each(|number| other.join(id(number), &[long(number)], &name("c")));
    let messages: Vec<_> = std::iter::from_fn(|| other.changes()).collect();
    let most = PRESENCE_PORTION_BYTES / 255 + 1;
    assert!(messages.iter().all(|changes| changes.groups[0].present.len() <= most), "{}", messages.len());
    assert_eq!(messages.iter().map(|changes| changes.groups[0].present.len()).sum::<usize>(), 500);
    assert!(messages.iter().map(|changes| changes.sequence).eq(1..=messages.len() as u64));
}
