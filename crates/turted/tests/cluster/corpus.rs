//! What the fuzzers of pushes and of the cluster begin with, and variants of it, written into Redis by others.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use turted_core::cluster::entry;
use turted_core::cluster::head::{MARK, Read, VERSION};
use turted_core::limits::CLUSTER_TARGETS_MAX;
use turted_core::push::PushLimits;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT, Node};
use crate::strangers::foreign;
use crate::support::Random;

/// Variants of the seeds, all together.
const VARIANTS: usize = 1_000;
/// How long a debug build may take for what is written.
const WITHIN: Duration = Duration::from_secs(10);
/// What a node reads of the entries of others.
const LIMITS: PushLimits =
    PushLimits { targets: CLUSTER_TARGETS_MAX, dispatches: 1, expansion_bytes: usize::MAX };

/// The seeds of these fuzzers.
fn seeds() -> Vec<Vec<u8>> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let is_wanted = |name: &str| name.starts_with("push") || name.starts_with("cluster_");
    let entries = |directory: &Path| {
        let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let targets =
        entries(&all).into_iter().filter(|target| is_wanted(target.file_name().unwrap().to_str().unwrap()));
    let seeds: Vec<_> =
        targets.flat_map(|target| entries(&target)).map(|seed| fs::read(seed).unwrap()).collect();
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    seeds
}

/// A seed that is cut, has other bits, or has some of it twice.
fn variant(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let (at, rest) = (random.below(bytes.len() + 1), random.below(3));
    match rest {
        0 => bytes.truncate(at),
        1 => {
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len().max(1));
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8));
            }
        }
        _ => bytes.extend_from_slice(&seed[at..]),
    }
    bytes
}

/// Whether nodes stop at it: they know no later version.
fn is_later(bytes: &[u8]) -> bool {
    bytes.strip_prefix(&MARK).and_then(<[u8]>::first).is_some_and(|version| *version > VERSION)
}

/// The same bytes as an entry or a message of this process, if they are one of any.
fn from_process(bytes: &[u8], process: [u8; 8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // Behind the mark, the version, the kind, and the number of a node.
    if let Some(place) = bytes.get_mut(MARK.len() + 4..MARK.len() + 12) {
        place.copy_from_slice(&process);
    }
    bytes
}

/// The numbers and the processes of the nodes.
fn nodes(cluster: &Cluster) -> Vec<(String, [u8; 8])> {
    let mut redis = cluster.redis.client();
    let key = cluster.key("node:");
    let Reply::Array(leases) = redis.ask(&["KEYS", &format!("{key}*")]) else { panic!("no list") };
    let node = |lease: Reply| {
        let Reply::Text(name) = lease else { panic!("{lease:?}") };
        let Reply::Text(value) = redis.ask(&["GET".as_bytes(), &name]) else {
            panic!("no value of {name:?}")
        };
        let process = u64::from_be_bytes(*value.first_chunk().expect("a process"));
        (String::from_utf8_lossy(&name[key.len()..]).into_owned(), process.to_le_bytes())
    };
    leases.into_iter().map(node).collect()
}

/// Tells all nodes this, as it is and as if a node had told it.
fn publish(cluster: &Cluster, texts: &[Vec<u8>]) {
    let (nodes, mut redis) = (nodes(cluster), cluster.redis.client());
    let own = nodes.iter().map(|(number, _)| cluster.key(&format!("0:node:{number}")));
    let channels: Vec<_> = own.chain([cluster.key("0:nodes")]).map(String::into_bytes).collect();
    for (text, (_, process)) in texts.iter().zip(nodes.iter().cycle()) {
        let told = [text.clone(), from_process(text, *process)];
        let publish =
            |channel: &Vec<u8>| told.clone().map(|told| vec![b"PUBLISH".to_vec(), channel.clone(), told]);
        redis.ask_all(&channels.iter().flat_map(publish).collect::<Vec<_>>());
    }
}

fn append(cluster: &Cluster, texts: &[Vec<u8>]) {
    let (mut redis, log) = (cluster.redis.client(), cluster.key("log").into_bytes());
    let id = format!("{}-*", cluster.epoch()).into_bytes();
    for text in texts {
        redis.ask(&[b"XADD", &log[..], &id, b"d", text]);
    }
}

#[test]
fn nothing_dies_of_what_the_fuzzers_begin_with_in_the_log_and_in_the_channels() {
    let (seeds, mut random) = (seeds(), Random::new(21));
    let variants = (0..VARIANTS).map(|number| variant(&seeds[number % seeds.len()], &mut random));
    let all: Vec<_> = seeds.iter().cloned().chain(variants.collect::<Vec<_>>()).collect();
    let is_entry = |bytes: &Vec<u8>| matches!(entry::decode(bytes, LIMITS), Read::Ours(_));
    let (entries, others): (Vec<_>, Vec<_>) =
        all.iter().filter(|bytes| !is_later(bytes)).cloned().partition(is_entry);
    assert!(entries.len() > 7 && others.len() > 200, "{} and {}", entries.len(), others.len());
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 12);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let (before, began) = (cluster.nodes.iter().map(foreign).collect::<Vec<_>>(), Instant::now());
    append(&cluster, &others);
    publish(&cluster, &all);
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0);
    for (node, before) in cluster.nodes.iter().zip(before) {
        assert!(foreign(node) >= before + others.len(), "{} of {}", foreign(node) - before, others.len());
    }
    // These are entries, whoever wrote them: clients may be told a loss.
    append(&cluster, &entries);
    for (_, process) in nodes(&cluster) {
        append(&cluster, &entries.iter().map(|entry| from_process(entry, process)).collect::<Vec<_>>());
    }
    cluster.await_ready();
    let crowd = Crowd::start(&cluster.directory, 12);
    let backends = Backends::idle(&cluster.directory);
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_sound();
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    assert!(cluster.nodes.iter_mut().all(Node::is_running));
}
