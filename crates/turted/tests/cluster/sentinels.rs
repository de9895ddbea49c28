//! Sentinels say where the master is, and promote a replica.

use std::process::{Command, Output};
use std::time::Duration;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::replica::watched_replica_of;
use crate::harness::sentinel::Sentinels;
use crate::harness::server::Server;
use crate::harness::{BACK, Group, KEPT};
use crate::support::{eventually, pause};

#[test]
fn sentinels_promote_the_replica_of_a_master_that_is_killed() {
    let mut master = Server::watched(&[]);
    let replica = watched_replica_of(&master);
    let sentinels = Sentinels::watch(&master);
    sentinels.await_replica();
    master.kill();
    eventually("the replica is the master", || {
        // A failover ends connections.
        let role = replica.client().try_ask(&["ROLE"]);
        format!("{role:?}").contains("master")
    });
}

#[test]
fn nodes_find_the_master_that_sentinels_have_chosen() {
    let mut master = Server::watched(KEPT);
    let replica = watched_replica_of(&master);
    let sentinels = Sentinels::watch(&master);
    sentinels.await_replica();
    let cluster = Group::of_sentinels(&sentinels, &master, 2);
    let crowd = Crowd::start(&cluster.directory, 20);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Plain);
    pause(Duration::from_secs(1));
    master.kill();
    pause(Duration::from_secs(2));
    cluster.await_ready();
    let accepted = backends.accepted();
    backends.await_pushes(accepted + 60, BACK);
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_sound();
    assert!(replica.client().number(&["XLEN", &cluster.key("log")]) > 0);
}

#[test]
fn a_node_that_sentinels_refuse_ends_at_its_start_and_a_check_says_the_same() {
    let master = Server::watched(KEPT);
    let sentinels = Sentinels::with(&master, "requirepass right");
    let run = |arguments: &[&str], password: Option<&str>| {
        let variables = sentinels.variables(&master);
        // Who is not there by name.
        let variables =
            variables.into_iter().filter(|(name, _)| !name.starts_with("TURTED_CLUSTER_SENTINEL_"));
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_turted"))
            .args(arguments)
            .env_clear()
            .envs(variables)
            .envs(password.map(|password| ("TURTED_CLUSTER_SENTINEL_PASSWORD", password)))
            .env("TURTED_ADMIN_LISTEN", "127.0.0.1:0")
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    eventually("the sentinels answer", || run(&["check", "--connect"], Some("right")).0 == Some(0));
    for (password, why) in [(None, "NOAUTH"), (Some("canary"), "WRONGPASS")] {
        for arguments in [&["check", "--connect"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let (code, told) = run(arguments, password);
            assert!(code == Some(1) && told.contains("no Sentinel tells where \"main\" is"), "{told}");
            assert!(told.contains(why) && !told.contains("canary"), "{told}");
            let is_unset = told.contains("`cluster.sentinel_password` is not set");
            assert_eq!(is_unset, password.is_none(), "{told}");
        }
    }
}
