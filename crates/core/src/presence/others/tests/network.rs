//! Nodes that tell each other who is there, over a network that loses messages, against a plain list of connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

const NODES: usize = 3;
const CHANNELS: [&str; 2] = ["c1", "c2"];

#[derive(Clone, Debug)]
enum Message {
    Changes(Changes),
    Wanted(Option<Place>),
    Portion(Portion),
}

/// Some nodes, and what is on its way between them.
struct Network {
    tables: Vec<Table>,
    /// By sender and receiver. What one node sends to another keeps its order.
    ways: BTreeMap<(usize, usize), VecDeque<Message>>,
    now: Instant,
    /// Nodes that no other one hears.
    frozen: BTreeSet<usize>,
}

impl Network {
    fn new() -> Self {
        let tables = (0..NODES).map(|_| table()).collect();
        Self { tables, ways: BTreeMap::new(), now: Instant::now(), frozen: BTreeSet::new() }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.ways.entry((from, to)).or_default().push_back(message);
    }

    fn ask(&mut self, from: usize, questions: Vec<Question>) {
        for question in questions {
            self.send(from, question.node.into(), Message::Wanted(question.after));
        }
    }

    /// A second goes by at each node that does not stand still.
    fn tick(&mut self) {
        self.now += SECOND;
        for node in (0..NODES).filter(|node| !self.frozen.contains(node)).collect::<Vec<_>>() {
            let others: Vec<_> = (0..NODES).filter(|other| *other != node).collect();
            let told = self.tables[node].changes().or_else(|| self.tables[node].beacon()).unwrap();
            for other in &others {
                self.send(node, *other, Message::Changes(told.clone()));
            }
            let nodes: Vec<_> = others.into_iter().map(sight).collect();
            let vicinity = Vicinity { nodes: &nodes, gone: &[], is_known: true };
            let questions = self.tables[node].look(&vicinity, GRACES, self.now);
            self.ask(node, questions);
            self.tables[node].begin_period();
            while self.tables[node].tell(2, &mut Vec::new()) {}
        }
    }

    /// Lets the next message on a way arrive, or be lost.
    fn carry(&mut self, way: (usize, usize), is_lost: bool) {
        let message = self.ways.get_mut(&way).and_then(VecDeque::pop_front);
        let Some(message) = message.filter(|_| !is_lost && !self.frozen.contains(&way.1)) else { return };
        let (from, to) = way;
        let questions = match message {
            Message::Changes(changes) => self.tables[to].hear_changes(from as u64, &changes, self.now),
            Message::Portion(portion) => self.tables[to].hear_portion(from as u64, &portion, self.now),
            Message::Wanted(after) => {
                let portion = self.tables[to].portion(after).unwrap();
                return self.send(to, from, Message::Portion(portion));
            }
        };
        self.ask(to, questions);
    }

    fn carry_all(&mut self) {
        while let Some(way) = self.ways.iter().find(|(_, messages)| !messages.is_empty()).map(|(way, _)| *way)
        {
            self.carry(way, false);
        }
    }

    /// Nothing is lost any more, for long enough.
    fn settle(&mut self) {
        self.frozen.clear();
        for _ in 0..8 {
            self.tick();
            self.carry_all();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join { node: usize, connection: usize, user: Option<usize>, channel: usize },
    Leave { node: usize, connection: usize, channel: usize },
    Close { node: usize, connection: usize },
    Carry { from: usize, to: usize, is_lost: bool },
    Freeze(usize),
    Thaw(usize),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let (node, connection, channel) = (|| 0..NODES, || 0..4_usize, || 0..CHANNELS.len());
    let user = prop::option::weighted(0.8, 0..4_usize);
    prop_oneof![
        5 => (node(), connection(), user, channel()).prop_map(|(node, connection, user, channel)| Step::Join {
            node, connection, user, channel,
        }),
        2 => (node(), connection(), channel()).prop_map(|(node, connection, channel)| Step::Leave {
            node, connection, channel,
        }),
        2 => (node(), connection()).prop_map(|(node, connection)| Step::Close { node, connection }),
        9 => (node(), node(), prop::bool::weighted(0.3)).prop_map(|(from, to, is_lost)| Step::Carry {
            from, to, is_lost,
        }),
        1 => node().prop_map(Step::Freeze),
        1 => node().prop_map(Step::Thaw),
        4 => Just(Step::Tick),
    ]
}

/// A connection: its users and its channels.
type Plain = (Vec<Name>, BTreeSet<Name>);

fn take(network: &mut Network, truth: &mut BTreeMap<(usize, usize), Plain>, step: Step) {
    match step {
        Step::Join { node, connection, user, channel } => {
            let users: Vec<_> = user.map(|user| name(&format!("u{user}"))).into_iter().collect();
            let (users, channels) = truth.entry((node, connection)).or_insert((users, BTreeSet::new()));
            network.tables[node].join(id(connection), users, &name(CHANNELS[channel]));
            channels.insert(name(CHANNELS[channel]));
        }
        Step::Leave { node, connection, channel } => {
            network.tables[node].leave(id(connection), &name(CHANNELS[channel]));
            if let Some((_, channels)) = truth.get_mut(&(node, connection)) {
                channels.remove(&name(CHANNELS[channel]));
            }
        }
        Step::Close { node, connection } => {
            network.tables[node].close(id(connection), None, None);
            truth.remove(&(node, connection));
        }
        Step::Carry { from, to, is_lost } => network.carry((from, to), is_lost),
        Step::Freeze(node) => drop(network.frozen.insert(node)),
        Step::Thaw(node) => drop(network.frozen.remove(&node)),
        Step::Tick => network.tick(),
    }
}

/// Who is in a channel, over all nodes.
fn who(truth: &BTreeMap<(usize, usize), Plain>, channel: &Name) -> (Vec<Name>, Numbers) {
    let members: Vec<_> = truth.values().filter(|(_, channels)| channels.contains(channel)).collect();
    let users: BTreeSet<Name> = members.iter().flat_map(|(users, _)| users.clone()).collect();
    let anonymous = members.iter().filter(|(users, _)| users.is_empty()).count();
    let numbers = Numbers { count: users.len(), anonymous, silent: 0 };
    (users.into_iter().collect(), numbers)
}

proptest! {
    #[test]
    fn all_nodes_know_who_is_there_whatever_was_lost_on_the_way(steps in prop::collection::vec(step(), 0..150)) {
        let (mut network, mut truth) = (Network::new(), BTreeMap::new());
        for step in steps {
            take(&mut network, &mut truth, step);
        }
        network.settle();
        for channel in CHANNELS.map(name) {
            let (users, numbers) = who(&truth, &channel);
            for table in &network.tables {
                let told = table.told(&channel).map(|told| told.numbers).unwrap_or_default();
                prop_assert_eq!((table.users_told(&channel), told), (users.clone(), numbers), "{}", channel.as_str());
            }
        }
        for (node, connection) in truth.into_keys() {
            network.tables[node].close(id(connection), None, None);
        }
        network.settle();
        for table in &network.tables {
            prop_assert!(table.is_empty() && table.copied().users == 0 && table.others.bytes == 0, "{:?}", table);
        }
    }
}
