//! The fan-out without sockets: which connection is written when, and what waits.

use std::collections::HashSet;

use turted_core::dispatch::{Dispatch, Targets};
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::registry::ConnectionKey;

use super::*;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

/// More connections than a small dispatch reaches, even if some are written meanwhile.
const MANY: usize = 10 * SMALL_CONNECTIONS_MAX;

#[derive(Debug)]
struct Peer {
    number: usize,
    chain: Cell<Chain>,
}

impl Recipient for Peer {
    fn wire(&self) -> Wire {
        Wire::SOCKET_IO
    }

    fn chain(&self) -> &Cell<Chain> {
        &self.chain
    }
}

/// A fan-out to peers, each of which is a user by its number.
struct Bench {
    fanout: Fanout<Peer>,
    registry: Registry<Rc<Peer>>,
    keys: Vec<ConnectionKey>,
    dispatcher: Dispatcher,
    inbox: Deliveries,
    context: WireContext,
}

fn user(number: usize) -> Name {
    Name::new(&number.to_string()).unwrap()
}

impl Bench {
    fn new(peers: usize) -> Self {
        let mut registry: Registry<Rc<Peer>> = Registry::new();
        let mut keys = Vec::new();
        for number in 0..peers {
            let key = registry.insert(Rc::new(Peer { number, chain: Cell::new(Chain::EMPTY) }));
            registry.admit(key, Since::START);
            registry.identify(key, &user(number), Default::default(), Since::START).unwrap();
            keys.push(key);
        }
        let limits = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
        let (sender, inbox) = inbox(InboxLimits { dispatches: 1, bytes: 0 });
        let dispatcher = Dispatcher::new(7, limits, vec![sender], &Backlogs::new(usize::MAX));
        let context = WireContext { has_cursor: true, metrics: Arc::default() };
        Self { fanout: Fanout::default(), registry, keys, dispatcher, inbox, context }
    }

    /// Dispatches and chains. Returns the number of the dispatch.
    fn accept(&mut self, targets: Targets, payload_bytes: usize) -> u64 {
        let payload = serde_json::value::to_raw_value(&"x".repeat(payload_bytes)).unwrap();
        let receipt = self.dispatcher.dispatch(Dispatch { event: user(0), payload, targets }).unwrap();
        self.fanout.accept(&self.inbox.try_recv().unwrap(), &mut self.registry);
        receipt.wait().unwrap().first().sequence
    }

    fn broadcast(&mut self) -> u64 {
        self.accept(Targets::broadcast(), 1)
    }

    fn notify(&mut self, number: usize) -> u64 {
        self.accept(Targets::user(user(number)), 1)
    }

    /// Writes one round. Returns the number of each connection in it, and those of its dispatches.
    fn round(&mut self, turns_max: usize) -> Vec<(usize, Vec<u64>)> {
        let mut written = Vec::new();
        self.fanout.write_round(turns_max, &self.context, &mut |round: &Round<Peer>| {
            let turns = round.turns();
            written =
                turns.map(|(peer, all)| (peer.number, all.iter().map(Frame::sequence).collect())).collect();
        });
        written
    }

    /// Writes one connection.
    fn write(&mut self) -> Option<(usize, Vec<u64>)> {
        while !self.fanout.is_idle() {
            let written = self.round(1);
            if !written.is_empty() {
                return written.into_iter().next();
            }
        }
        None
    }

    fn write_all(&mut self) -> Vec<(usize, Vec<u64>)> {
        std::iter::from_fn(|| self.write()).collect()
    }
}

#[test]
fn what_is_no_dispatch_reaches_nobody() {
    let mut bench = Bench::new(2);
    for begun in [None, Some(8)] {
        assert!(bench.dispatcher.skip(begun));
        let delivery = bench.inbox.try_recv().unwrap();
        assert!(delivery.accepted.is_filler());
        assert_eq!(bench.fanout.accept(&delivery, &mut bench.registry), 0);
        assert!(bench.fanout.is_idle());
    }
    let next = bench.broadcast();
    assert_eq!(next, 2 + (1 << 20) + 1, "pushes go on behind it");
    assert_eq!(bench.write_all(), [(0, vec![next]), (1, vec![next])]);
}

#[test]
fn small_dispatches_go_before_a_large_one_and_in_their_own_order() {
    let mut bench = Bench::new(MANY);
    let large = bench.broadcast();
    let small: Vec<_> = (0..20).map(|number| (number, bench.notify(MANY - 1 - number))).collect();
    let written = bench.write_all();
    let place = |peer: usize| written.iter().position(|(number, _)| *number == peer).unwrap();
    let places: Vec<_> = small.iter().map(|(number, _)| place(MANY - 1 - number)).collect();
    assert!(places.is_sorted(), "the first to come is the first to go: {places:?}");
    assert!(*places.last().unwrap() < 40, "no dispatch to one waits for the many: {places:?}");
    for (number, sequence) in small {
        assert_eq!(written[place(MANY - 1 - number)].1, [large, sequence], "all that waits, in order");
    }
    assert_eq!(written.len(), MANY, "no connection is written twice");
}

#[test]
fn a_small_dispatch_does_not_starve_behind_newer_small_ones() {
    let mut bench = Bench::new(MANY);
    bench.notify(0);
    let mut written = Vec::new();
    // Two come for each that goes.
    for number in 0..20 {
        bench.notify(1 + 2 * number);
        bench.notify(2 + 2 * number);
        written.push(bench.write().unwrap().0);
    }
    assert_eq!(written, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_large_dispatch_is_written_while_small_ones_keep_coming() {
    let mut bench = Bench::new(MANY);
    let large = bench.broadcast();
    let mut reached = 0;
    for _ in 0..MANY {
        bench.notify(MANY - 1);
        let (number, sequences) = bench.write().unwrap();
        reached += usize::from(number != MANY - 1 && sequences == [large]);
    }
    assert!(reached >= MANY / LARGE_SHARE - 1, "{reached} of {MANY} writes");
}

/// Numbers below a limit, the same ones for the same seed.
fn random(seed: u64) -> impl FnMut(u64) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit).unwrap()
    }
}

#[test]
fn whatever_is_dispatched_and_written_when_everybody_gets_all_in_order() {
    for seed in 0..20_u64 {
        let mut bench = Bench::new(MANY);
        let mut below = random(seed);
        let (mut expected, mut received) = (vec![Vec::new(); MANY], vec![Vec::new(); MANY]);
        for _ in 0..300 {
            match below(4) {
                0 => {
                    let sequence = bench.broadcast();
                    expected.iter_mut().for_each(|expected| expected.push(sequence));
                }
                1 => {
                    let number = below(9);
                    let sequence = bench.notify(number);
                    expected[number].push(sequence);
                }
                _ => {
                    for _ in 0..below(20) {
                        let written = bench.round(1 + below(TURNS_MAX as u64));
                        let peers: HashSet<_> = written.iter().map(|(number, _)| *number).collect();
                        assert_eq!(peers.len(), written.len(), "a connection is in a round once");
                        written.into_iter().for_each(|(number, mut all)| received[number].append(&mut all));
                    }
                }
            }
        }
        bench.write_all().into_iter().for_each(|(number, mut all)| received[number].append(&mut all));
        assert_eq!(received, expected, "seed {seed}");
        assert_eq!(bench.fanout.bytes, 0, "nothing is counted that went out");
    }
}

#[test]
fn what_a_connection_has_passed_is_what_was_written_to_it_whatever_still_waits() {
    for seed in 0..20_u64 {
        let mut bench = Bench::new(MANY);
        let mut below = random(seed);
        let (mut expected, mut received) = (vec![Vec::new(); MANY], vec![Vec::new(); MANY]);
        let (mut last, mut passed, mut behind) = (0, vec![0; MANY], 0);
        for _ in 0..2_000 {
            match below(8) {
                0 => {
                    last = bench.broadcast();
                    expected.iter_mut().for_each(|expected| expected.push(last));
                }
                1 => {
                    let number = below(9);
                    last = bench.notify(number);
                    expected[number].push(last);
                }
                2 => {
                    let written = bench.round(1 + below(TURNS_MAX as u64));
                    written.into_iter().for_each(|(number, mut all)| received[number].append(&mut all));
                }
                _ => {
                    let number = below(12);
                    let peer = bench.registry.get(bench.keys[number]).unwrap();
                    let next = bench.fanout.next_for(peer);
                    let position = next.map_or(last, |next| next - 1);
                    let due = expected[number].iter().filter(|sequence| **sequence <= position);
                    assert!(received[number].iter().eq(due), "seed {seed}: nothing is lost or comes twice");
                    assert!(position >= passed[number], "seed {seed}: a position never goes back");
                    passed[number] = position;
                    behind += usize::from(next.is_some());
                }
            }
        }
        assert!(behind > 100, "seed {seed}: {behind} positions of connections that wait");
    }
}

#[test]
fn more_bytes_than_may_wait_leave_dispatches_in_the_inbox_until_they_are_written() {
    let mut bench = Bench::new(MANY);
    let everyone = Targets { users: (0..MANY).map(user).collect(), ..Targets::default() };
    bench.accept(everyone, BYTES_MAX / MANY + 1);
    assert!(!bench.fanout.has_room());
    let encoded = bench.context.metrics.frames_encoded.get();
    assert_eq!(encoded, 0, "a frame takes memory when it is written");
    bench.write_all();
    assert!(bench.fanout.has_room());
}

#[test]
fn a_connection_that_receives_much_is_written_in_parts_and_in_order() {
    let mut bench = Bench::new(1);
    let expected: Vec<_> = (0..2 * BATCH_FRAMES_MAX + 1).map(|_| bench.notify(0)).collect();
    let written = bench.write_all();
    assert_eq!(written.len(), 3);
    assert_eq!(written.into_iter().flat_map(|(_, sequences)| sequences).collect::<Vec<_>>(), expected);
}

#[test]
fn a_round_is_short_however_much_waits() {
    let mut bench = Bench::new(MANY);
    bench.broadcast();
    let rounds = [bench.round(TURNS_MAX), bench.round(TURNS_MAX)];
    assert_eq!(rounds.map(|round| round.len()), [TURNS_MAX, TURNS_MAX], "short frames cost little");
    bench.write_all();
    for (payload_bytes, turns) in [(1, TURNS_MAX), (ENCODED_BYTES_MAX / 2, 2), (ENCODED_BYTES_MAX, 1)] {
        let each = Targets { users: (0..MANY).map(user).collect(), ..Targets::default() };
        bench.accept(each, payload_bytes);
        assert_eq!(bench.round(TURNS_MAX).len(), turns, "frames of their own of {payload_bytes} bytes");
        bench.write_all();
    }
    (0..=BATCH_FRAMES_MAX).for_each(|_| _ = bench.broadcast());
    while !bench.fanout.is_idle() {
        let round = bench.round(TURNS_MAX);
        let frames: Vec<_> = round.iter().map(|(_, sequences)| sequences.len()).collect();
        assert!(frames.iter().sum::<usize>() < 2 * BATCH_FRAMES_MAX, "{frames:?}");
        assert!(frames.iter().all(|&frames| frames <= BATCH_FRAMES_MAX), "{frames:?}");
    }
}

#[test]
fn a_round_is_short_however_many_have_been_written_out_of_turn() {
    let mut bench = Bench::new(MANY);
    bench.broadcast();
    // All of them get what they wait for in the faster line, and keep their place in the other one.
    (0..MANY).for_each(|number| _ = bench.notify(number));
    while !bench.fanout.is_idle() {
        let waiting = bench.fanout.small.len() + bench.fanout.large.len();
        bench.round(TURNS_MAX);
        let passed = waiting - bench.fanout.small.len() - bench.fanout.large.len();
        assert!((1..=TURNS_MAX).contains(&passed), "{passed} places in line between two looks at the clock");
    }
}

#[test]
fn a_connection_that_left_while_it_waited_holds_up_nobody() {
    let mut bench = Bench::new(MANY);
    bench.broadcast();
    bench.registry.remove(bench.keys[0]);
    let later = bench.broadcast();
    let written = bench.write_all();
    assert_eq!(written.len(), MANY);
    assert!(written.iter().all(|(number, sequences)| sequences.contains(&later) == (*number != 0)));
}
