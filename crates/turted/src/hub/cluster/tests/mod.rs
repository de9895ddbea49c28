//! Several nodes in one process, over the engine in memory, on one clock: random pushes, random faults, and a checker.
//!
//! A run is repeated by its seed: `SEED=17 cargo test -p turted --lib cluster::tests::a_seed`.
//!
//! | file | what |
//! |---|---|
//! | `simulation` | the nodes, the clients and the backends of a run |
//! | `node` | a node that can be frozen and killed |
//! | `client` | a client that comes back to any node |
//! | `backend` | pushes, and what became of them |
//! | `troubles` | what goes wrong, by a seed |
//! | `disasters` | the same with all nodes at once |
//! | `checker` | what every client must have seen |
//! | `pair` | two nodes without clients: what one sees of the other, and what the log keeps |

mod backend;
mod checker;
mod client;
mod disasters;
mod node;
mod pair;
mod simulation;
mod troubles;

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::simulation::{simulate, simulate_and_tell};
use super::mistake::Mistake;

/// Seeds that are tried with every change.
const SEEDS: u64 = 1_000;
/// Seeds in which a mistake has to be found, from the one on that is known to find it.
const MISTAKE_SEEDS: u64 = 60;
/// All mistakes, each with a seed that finds it. A change of the code may let another seed near it find it.
const MISTAKES: [(Mistake, u64); 12] = [
    (Mistake::CountsEpochs, 940),
    (Mistake::KeepsLossToItself, 2),
    (Mistake::IgnoresWitnesses, 8),
    (Mistake::DeliversAtOnce, 2),
    (Mistake::RepeatsWithoutReading, 55),
    (Mistake::IgnoresHoles, 52),
    (Mistake::TrimsTooMuch, 0),
    (Mistake::CountsOldEntries, 0),
    (Mistake::LeavesFormer, 0),
    (Mistake::StoresKeyFirst, 150),
    (Mistake::IgnoresProcess, 26),
    (Mistake::IgnoresEntry, 2),
];
/// Those that hardly any seed finds, because other rules make up for them.
const RARE: [Mistake; 1] = [Mistake::GoesOnCounting];
/// Threads that simulate.
const THREADS: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tries seeds, and returns the first faults that are found, at most so many.
fn find(seeds: Range<u64>, mistake: Option<Mistake>, most: usize) -> Vec<String> {
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || found.lock().unwrap().len() >= most {
                return;
            }
            // The lock is not held meanwhile.
            let fault = fault(seed, mistake);
            found.lock().unwrap().extend(fault);
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(search))));
    found.into_inner().unwrap()
}

/// What is wrong in the run of a seed.
fn fault(seed: u64, mistake: Option<Mistake>) -> Option<String> {
    let simulated = catch_unwind(|| simulate(seed, mistake));
    let fault = simulated.unwrap_or_else(|_| Err("it panics".to_owned())).err()?;
    Some(format!("SEED={seed}: {fault}"))
}

#[test]
fn clients_of_several_nodes_miss_nothing_without_being_told() {
    let faults = find(0..SEEDS, None, 10);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_run_is_repeated_by_its_seed() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| simulate_and_tell(seed));
        assert!(first == second, "SEED={seed}:\n{first}\n\n{second}");
    }
}

#[test]
fn a_seed() {
    if let Some(seed) = number("SEED") {
        simulate(seed, None).unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// `just simulate`
#[test]
#[ignore = "takes long"]
fn many_seeds() {
    let (first, count) = (number("FIRST").unwrap_or(SEEDS), number("SEEDS").unwrap_or(100_000));
    let faults = find(first..first + count, None, 10);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether one of these seeds finds a mistake. Prints the one that does.
#[expect(clippy::print_stderr, reason = "whoever tries mistakes wants to know")]
fn is_found(mistake: Mistake, seeds: Range<u64>) -> bool {
    let found = find(seeds, Some(mistake), 1);
    eprintln!("{mistake:?}: {:?}", found.first().and_then(|fault| fault.lines().next()));
    !found.is_empty()
}

#[test]
fn mistakes_are_found() {
    for (mistake, seed) in MISTAKES {
        assert!(is_found(mistake, seed..seed + MISTAKE_SEEDS), "{mistake:?} is not found");
    }
}

/// Says which mistakes are found by how many seeds: all of them, or `ONLY` one.
#[test]
#[ignore = "takes long"]
#[expect(clippy::print_stderr, reason = "whoever tries mistakes wants to know")]
fn all_mistakes() {
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let first = number("FIRST").unwrap_or(0);
    let seeds = first..first + seeds;
    let only = std::env::var("ONLY").ok();
    let chosen = |mistake: Mistake| only.as_ref().is_none_or(|only| *only == format!("{mistake:?}"));
    let known = MISTAKES.into_iter().map(|(mistake, _)| mistake);
    let mistakes: Vec<_> = known.chain(RARE).filter(|mistake| chosen(*mistake)).collect();
    let found = mistakes.iter().filter(|mistake| is_found(**mistake, seeds.clone())).count();
    eprintln!("{found} of {} are found", mistakes.len());
}
