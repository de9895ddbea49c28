//! Faults one after the other under a steady load: nothing is lost, doubled, reordered or sent to the wrong client, and all
//! clients come back soon. A fourth of them each connects by WebSocket, SockJS, Socket.IO by polling and event stream.

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use crate::clients::backends::Manner;
use crate::clients::journal::{Journal, Step};
use crate::clients::sse::HEARTBEAT;
use crate::clients::{Backends, Crowd, Findings, Way, check};
use crate::harness::{Cluster, KEPT, until};
use crate::support::{Random, pause, raise_descriptors};

/// 99 of 100 clients are back within this time of the end of a fault.
const BACK_MOST: Duration = Duration::from_secs(15);
const BACK_ALL: Duration = Duration::from_secs(60);

/// What is done to the cluster, for how long.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillNode,
    RestartAll,
    FreezeNode(Duration),
    CutNode(Duration),
    FreezeRedis(Duration),
    KillRedis,
}

struct Soak {
    cluster: Cluster,
    crowd: Crowd,
    random: Random,
    began: Instant,
    /// For each fault, how long behind its end 99 of 100 clients were back, and all.
    back: Vec<[Duration; 2]>,
}

impl Soak {
    fn say(&self, text: &str) {
        println!("{:5} s  {text}", self.began.elapsed().as_secs());
    }

    /// Does something to the cluster, and waits for all clients and nodes behind it.
    fn disturb(&mut self, fault: Fault) {
        let node = self.random.below(self.cluster.nodes.len());
        self.say(&format!("{fault:?}, node {node}"));
        let cluster = &mut self.cluster;
        match fault {
            Fault::KillNode => {
                cluster.nodes[node].kill();
                cluster.nodes[node].run();
            }
            Fault::RestartAll => cluster.nodes.iter_mut().for_each(|node| {
                node.stop();
                node.run();
                node.await_ready(BACK_MOST);
            }),
            Fault::FreezeNode(time) => {
                cluster.nodes[node].freeze();
                pause(time);
                cluster.nodes[node].thaw();
            }
            Fault::CutNode(time) => {
                cluster.nodes[node].proxy.cut();
                pause(time);
                cluster.nodes[node].proxy.mend();
            }
            Fault::FreezeRedis(time) => {
                cluster.redis.freeze();
                pause(time);
                cluster.redis.thaw();
            }
            Fault::KillRedis => {
                cluster.redis.kill();
                cluster.redis.restart();
            }
        }
        self.await_back();
    }

    fn await_back(&mut self) {
        let there = || self.crowd.count(|journal| journal.is_in);
        let most = self.crowd.len() - self.crowd.len() / 100;
        let ended = Instant::now();
        let what = || format!("{} of {most} are back, away: {:?}", there(), self.crowd.away());
        let took = until(what, BACK_MOST, || there() >= most);
        self.cluster.nodes.iter().for_each(|node| node.await_ready(BACK_MOST));
        self.crowd.await_all(BACK_ALL);
        let all = ended.elapsed();
        self.say(&format!("99 of 100 are back after {took:?}, all after {all:?}"));
        self.back.push([took, all]);
    }
}

/// These faults, spread over this time, with so many clients and pushes per second.
fn soak(time: Duration, clients: usize, rate: u64, faults: &[Fault]) {
    let cluster = Cluster::with(KEPT, 3, &[HEARTBEAT]);
    let crowd = Crowd::by(&cluster.directory, clients, &Way::ALL);
    let mut backends = Backends::start(&cluster.directory, clients, rate, Manner::Mixed);
    let mut soak = Soak { cluster, crowd, random: Random::new(7), began: Instant::now(), back: Vec::new() };
    soak.say(&format!("{clients} clients are there"));
    let lasts = |fault: &Fault| match fault {
        Fault::FreezeNode(time) | Fault::CutNode(time) | Fault::FreezeRedis(time) => *time,
        _ => Duration::from_secs(2),
    };
    let calm = time.saturating_sub(faults.iter().map(lasts).sum()) / u32::try_from(faults.len() + 1).unwrap();
    for fault in faults {
        pause(calm);
        soak.crowd.cut_some(&mut soak.random, 5);
        soak.disturb(*fault);
    }
    pause(calm);
    backends.stop();
    backends.reach(&soak.crowd, BACK_ALL);
    let Soak { crowd, back, began, .. } = soak;
    let lasted = began.elapsed();
    let returns = crowd.returns();
    let journals = crowd.finish();
    let by_way = returns_by_way(&journals);
    println!("returns by way: {by_way:?}");
    let findings = check(&backends.finish(), &journals);
    summarize(faults, &back, &findings, (lasted, returns));
    findings.assert_sound();
    assert!(by_way.iter().all(|(_, returns)| *returns > 0), "{by_way:?}");
    // Redis has lost nothing, so no gap is told for a reason.
    assert!(findings.gaps * 100 <= returns, "false alarms: {} of {returns} returns", findings.gaps);
}

/// How often clients that connect so have come back and were told that nothing is missing.
pub(crate) fn returns_by_way(journals: &[Journal]) -> [(Way, usize); Way::ALL.len()] {
    let mut returns = Way::ALL.map(|way| (way, 0));
    for (number, journal) in journals.iter().enumerate() {
        let recovered = journal.steps.iter().filter(|step| matches!(step, Step::Recovered { .. }));
        returns[number % Way::ALL.len()].1 += recovered.count();
    }
    returns
}

/// Says a line for each promise.
fn summarize(
    faults: &[Fault],
    back: &[[Duration; 2]],
    findings: &Findings,
    (lasted, returns): (Duration, usize),
) {
    let mut kinds = BTreeMap::<String, usize>::new();
    for fault in faults {
        let kind = format!("{fault:?}");
        *kinds.entry(kind.split('(').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    println!("faults: {kinds:?}");
    println!("load: {}, in {} s", findings.figures(), lasted.as_secs());
    println!("deliveries a second: {}", findings.deliveries as u64 / lasted.as_secs().max(1));
    for kind in ["lost", "half delivered", "doubled", "dispatched twice", "reordered", "wrong recipient"] {
        println!("{kind}: {}", findings.count(kind));
    }
    println!("false alarms: {} of {returns} returns (less than 1 in 100 may be)", findings.gaps);
    let [most, all] = [0, 1].map(|which| back.iter().map(|took| took[which]).max().unwrap_or_default());
    println!(
        "back behind the end of a fault, at the slowest: 99 of 100 clients {most:?} ({BACK_MOST:?} may be), all {all:?}"
    );
}

#[test]
fn one_fault_of_each_kind_under_load() {
    let seconds = Duration::from_secs;
    let faults = [
        Fault::KillNode,
        Fault::FreezeRedis(seconds(4)),
        Fault::CutNode(seconds(1)),
        Fault::KillRedis,
        Fault::FreezeNode(seconds(4)),
        Fault::RestartAll,
        Fault::CutNode(seconds(8)),
    ];
    soak(seconds(54), 150, 150, &faults);
}

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "half an hour: just soak-cluster"]
fn all_faults_for_half_an_hour() {
    raise_descriptors();
    let time = number("TURTED_TEST_SOAK_SECONDS", 1_800);
    let clients = number("TURTED_TEST_CONNECTIONS", 10_000);
    let seconds = Duration::from_secs;
    let mut faults: Vec<Fault> = Vec::new();
    faults.extend([Fault::KillNode; 20]);
    faults.extend([Fault::KillRedis; 10]);
    faults.extend([Fault::FreezeNode(seconds(20)); 5]);
    faults.extend([Fault::FreezeRedis(seconds(20)); 5]);
    faults.extend([5, 14, 23, 32, 40].map(|time| Fault::CutNode(seconds(time))));
    faults.push(Fault::RestartAll);
    let mut random = Random::new(time);
    for last in (1..faults.len()).rev() {
        faults.swap(last, random.below(last + 1));
    }
    soak(seconds(time), usize::try_from(clients).unwrap(), number("TURTED_TEST_PUSHES", 500), &faults);
}
