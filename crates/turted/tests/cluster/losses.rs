//! Redis loses what it had: every client that can resume is told, and none is deaf afterwards.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::{self, Backends, Crowd, check};
use crate::harness::replica::{demote, promote, replica_of};
use crate::harness::server::Server;
use crate::harness::{BACK, Cluster, FORGETFUL, KEPT, Node, Proxy, Way, until};
use crate::support::pause;

/// Every client is told within this time, if all nodes can say how far they were.
const TOLD: Duration = Duration::from_secs(15);
/// If one cannot.
const TOLD_WITHOUT_A_WITNESS: Duration = Duration::from_secs(35);

/// Something happens to Redis under load that loses pushes: all clients are told within this time, and receive what comes
/// then. Returns what there is to say of it.
fn assert_told(cluster: Cluster, within: Duration, fault: impl FnOnce(&mut Cluster)) {
    assert_all_told(cluster, &clients::Way::ALL, within, fault);
}

/// The same with clients that connect in these ways.
fn assert_all_told(
    mut cluster: Cluster,
    ways: &[clients::Way],
    within: Duration,
    fault: impl FnOnce(&mut Cluster),
) {
    let crowd = Crowd::by(&cluster.directory, 32, ways);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Plain);
    pause(Duration::from_secs(1));
    let began = Instant::now();
    fault(&mut cluster);
    let took = crowd.await_told(began, within);
    cluster.nodes.iter().for_each(Node::thaw);
    cluster.await_ready();
    crowd.await_all(BACK);
    pause(Duration::from_millis(500));
    backends.stop();
    backends.reach(&crowd, BACK);
    let findings = check(&backends.finish(), &crowd.finish());
    println!("told within {took:?}: {}", findings.assert_sound().figures());
}

#[test]
fn all_are_told_when_redis_is_killed_and_wrote_nothing_down() {
    assert_told(Cluster::start(FORGETFUL), TOLD, |cluster| {
        cluster.redis.kill();
        cluster.redis.restart();
    });
}

#[test]
fn all_are_told_when_the_witness_that_knows_stands_still() {
    // Those that notice soon that their node is frozen.
    let ways = [clients::Way::WebSocket];
    assert_all_told(Cluster::start(FORGETFUL), &ways, TOLD_WITHOUT_A_WITNESS, |cluster| {
        cluster.nodes[0].freeze();
        cluster.redis.kill();
        cluster.redis.restart();
        // Its clients find other nodes meanwhile.
    });
}

#[test]
fn all_are_told_when_redis_is_flushed() {
    assert_told(Cluster::start(KEPT), TOLD, |cluster| cluster.tell(&["FLUSHALL"]));
}

#[test]
fn who_was_told_a_loss_is_told_no_gap_when_it_comes_back_later() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::by(&cluster.directory, 32, &clients::Way::ALL);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Plain);
    let began = Instant::now();
    cluster.tell(&["FLUSHALL"]);
    crowd.await_told(began, TOLD);
    cluster.await_ready();
    crowd.await_all(BACK);
    let (told, returns) = (Instant::now(), crowd.returns());
    (0..crowd.len()).for_each(|number| crowd.cut(number));
    let are_back = || crowd.returns() >= returns + crowd.len();
    until(|| "all have come back again, without a gap".to_owned(), BACK, are_back);
    assert_eq!(crowd.count(|journal| journal.gaps().any(|at| at >= told)), 0);
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_sound();
}

#[test]
fn all_are_told_when_the_log_is_deleted() {
    assert_told(Cluster::start(KEPT), TOLD, |cluster| {
        let log = cluster.key("log");
        cluster.tell(&["DEL", &log]);
    });
}

#[test]
fn all_are_told_when_redis_has_evicted_the_log() {
    let evicting = [KEPT, &["--maxmemory-policy", "allkeys-lru"]].concat();
    assert_told(Cluster::start(&evicting), TOLD, |cluster| {
        let log = cluster.key("log");
        let mut redis = cluster.redis.client();
        redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        until(|| "the log is evicted".to_owned(), BACK, || redis.number(&["EXISTS", &log]) == 0);
        redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    });
}

#[test]
fn all_are_told_when_redis_has_lost_everything_and_its_clock_was_set_back() {
    let cluster = Cluster::on(Server::with_clock(FORGETFUL), 3, &[]);
    assert_told(cluster, TOLD, |cluster| {
        cluster.redis.kill();
        cluster.redis.set_clock("-2d");
        cluster.redis.restart();
    });
}

#[test]
fn all_are_told_when_a_replica_is_promoted_that_lagged_behind() {
    let cluster = Cluster::replicated(KEPT);
    let way = Proxy::to(cluster.redis.port());
    let replica = replica_of(way.port(), &[]);
    assert_told(cluster, TOLD, |cluster| {
        way.stall(Way::ToNode);
        pause(Duration::from_secs(2));
        promote(&replica);
        cluster.nodes.iter().for_each(|node| node.proxy.retarget(replica.node_port()));
    });
}

#[test]
fn all_are_told_when_two_masters_were_written_at_once() {
    let cluster = Cluster::replicated(KEPT);
    let replica = replica_of(cluster.redis.port(), &[]);
    assert_told(cluster, TOLD, |cluster| {
        promote(&replica);
        cluster.nodes[0].proxy.retarget(replica.node_port());
        pause(Duration::from_secs(2));
        demote(&cluster.redis, replica.port());
        cluster.nodes[1..].iter().for_each(|node| node.proxy.retarget(replica.node_port()));
    });
}

#[test]
fn all_are_told_once_more_of_what_a_former_master_took_behind_a_loss_that_was_told() {
    let cluster = Cluster::replicated(KEPT);
    let way = Proxy::to(cluster.redis.port());
    let replica = replica_of(way.port(), &[]);
    assert_told(cluster, TOLD, |cluster| {
        way.stall(Way::ToNode);
        pause(Duration::from_secs(1));
        promote(&replica);
        // It has read what the replica has not, so its clients are told at once. Other nodes go on with the former master.
        cluster.nodes[0].proxy.retarget(replica.node_port());
        pause(Duration::from_secs(3));
        demote(&cluster.redis, replica.port());
        cluster.nodes[1..].iter().for_each(|node| node.proxy.retarget(replica.node_port()));
    });
}

/// Lets a master take over the data of a replica that lags by a second, and promotes it again.
fn demote_and_promote(master: &Server, (way, other): (&Proxy, &Server)) {
    way.stall(Way::ToNode);
    pause(Duration::from_secs(1));
    promote(other);
    demote(master, other.port());
    promote(master);
}

#[test]
fn all_are_told_when_a_master_was_demoted_and_is_promoted_again() {
    let cluster = Cluster::replicated(KEPT);
    let way = Proxy::to(cluster.redis.port());
    let other = replica_of(way.port(), &[]);
    // Its `run_id` stays, and so do the connections of the nodes.
    assert_told(cluster, TOLD, |cluster| {
        demote_and_promote(&cluster.redis, (&way, &other));
    });
}

#[test]
fn a_loss_that_was_told_before_a_node_was_there_is_not_counted_by_it() {
    let mut cluster = Cluster::with(KEPT, 2, &[("TURTED_LOG_LEVEL", "info")]);
    let counted = |node: &Node| {
        let page = node.admin("/metrics").expect("an answer").body;
        ["losses", "epochs"].map(|what| {
            let line =
                page.lines().find_map(|line| line.strip_prefix(&format!("turted_cluster_{what}_total ")));
            line.expect("a line").to_owned()
        })
    };
    assert_eq!(counted(&cluster.nodes[1]), ["0", "0"]);
    cluster.tell(&["FLUSHALL"]);
    let told = || cluster.nodes.iter().all(|node| counted(node) == ["1", "1"]);
    until(|| "both nodes have told it".to_owned(), TOLD, told);
    cluster.nodes[1].kill();
    cluster.nodes[1].run();
    cluster.await_ready();
    assert_eq!(counted(&cluster.nodes[1]), ["0", "0"]);
    let said = cluster.nodes[1].stop();
    assert!(!said.contains("may have lost events"), "{said}");
    assert!(said.contains("has told a loss before this node was there"), "{said}");
}

#[test]
fn all_are_told_when_a_master_that_was_demoted_and_promoted_again_has_forgotten_that() {
    let cluster = Cluster::replicated(&[KEPT, &["--repl-backlog-ttl", "1"]].concat());
    let way = Proxy::to(cluster.redis.port());
    let other = replica_of(way.port(), &[]);
    // It takes one more id, as with its first replica, and says nothing of the one that it had from its master.
    assert_told(cluster, TOLD, |cluster| {
        demote_and_promote(&cluster.redis, (&way, &other));
        let forgets = || {
            let said = cluster.redis.client().ask(&["INFO", "replication"]);
            matches!(said, Reply::Text(said) if String::from_utf8_lossy(&said).contains("master_replid2:0000"))
        };
        until(|| "it has forgotten".to_owned(), BACK, forgets);
    });
}

#[test]
fn a_node_that_starts_where_the_log_begins_with_an_epoch_tells_no_loss() {
    let mut cluster = Cluster::with(KEPT, 1, &[]);
    cluster.redis.kill();
    cluster.redis.restart();
    let has_begun = || {
        let page = cluster.nodes[0].admin("/metrics").expect("an answer").body;
        page.contains("\nturted_cluster_epochs_total 1\n")
    };
    until(|| "another epoch has begun".to_owned(), TOLD, has_begun);
    cluster.await_ready();
    cluster.tell(&["XTRIM", &cluster.key("log"), "MINID", &cluster.epoch()]);
    cluster.join(&[]);
    pause(Duration::from_secs(1));
    for node in &cluster.nodes {
        let page = node.admin("/metrics").expect("an answer").body;
        assert!(page.contains("\nturted_cluster_losses_total 0\n"), "{page}");
    }
}

/// The file in which Redis writes down what it is told, and how long it is.
fn written(cluster: &Cluster) -> (PathBuf, u64) {
    let said = cluster.redis.client().ask(&["CONFIG", "GET", "dir"]);
    let Reply::Array(said) = said else { panic!("{said:?}") };
    let [_, Reply::Text(directory)] = &said[..] else { panic!("{said:?}") };
    let directory = Path::new(std::str::from_utf8(directory).unwrap()).join("appendonlydir");
    let files = directory.read_dir().unwrap().map(Result::unwrap);
    let mut paths = files.map(|file| file.path());
    let path = paths.find(|path| path.to_string_lossy().ends_with("incr.aof")).expect("a file of increments");
    let bytes = path.metadata().unwrap().len();
    (path, bytes)
}

#[test]
fn all_are_told_when_redis_has_lost_the_end_of_what_it_wrote_down() {
    assert_told(Cluster::start(KEPT), TOLD, |cluster| {
        let (file, before) = written(cluster);
        pause(Duration::from_secs(1));
        cluster.redis.kill();
        File::options().write(true).open(file).unwrap().set_len(before).unwrap();
        cluster.redis.restart();
    });
}

#[test]
fn the_clients_of_a_node_come_back_if_the_log_was_trimmed_past_it() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 30);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Plain);
    pause(Duration::from_secs(1));
    cluster.nodes[0].proxy.cut();
    pause(Duration::from_secs(1));
    for _ in 0..10 {
        let pushed = cluster.nodes[1].push(&serde_json::json!({"event": "E", "targets": {}}));
        assert_eq!(pushed.expect("an answer").status, 200);
    }
    cluster.tell(&["XTRIM", &cluster.key("log"), "MAXLEN", "1"]);
    cluster.nodes[0].proxy.mend();
    pause(Duration::from_secs(1));
    cluster.await_ready();
    backends.stop();
    crowd.await_all(BACK);
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_sound();
    // A client that comes back to another node has missed nothing, and is told nothing.
    assert!(losses > 0 && losses < 30, "{losses} have lost their connection: those of one node");
}
