//! `turted check --connect` of a node of a cluster, with a real redis-server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::Http;
use crate::support::ports;
use crate::support::redis::RedisServer;

/// Exit code and output of `check --connect` with these variables.
fn check(variables: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["check", "--connect"])
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

/// What the page has operators say to Redis, as words.
fn documented_rights() -> Vec<&'static str> {
    let docs = include_str!("../../../../docs/cluster.md");
    docs.lines().find(|line| line.starts_with("ACL SETUSER turted ")).expect("a line").split(' ').collect()
}

#[test]
fn a_redis_that_can_be_used_is_told_with_what_it_promises() {
    let redis = RedisServer::with(&["--maxmemory-policy", "allkeys-lru"]);
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &redis.url())]);
    assert_eq!(code, 0, "{text}");
    let head = format!("cluster turted, Redis at 127.0.0.1:{}: can be used\n  Redis ", redis.port());
    assert!(text.starts_with(&head), "{text}");
    for line in ["\n  appendonly ", "\n  0 replicas\n", "\n  warning: maxmemory-policy is allkeys-lru: "] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn the_documented_rights_are_enough_and_needed() {
    let redis = RedisServer::start();
    let rights = documented_rights();
    redis.client().ask(&rights);
    // A database other than 0 has to be selected.
    let url = format!("{}/1", redis.url().replace("://", "://turted:PASSWORD@"));
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &url)]);
    assert!(code == 0 && text.contains(": can be used\n"), "{text}");
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &url), ("TURTED_CLUSTER_PREFIX", "other")]);
    assert!(code == 1 && text.contains("NOPERM"), "{text}");
    let mut spare = Vec::new();
    for right in rights.iter().filter(|right| right.starts_with('+')) {
        redis.client().ask(&["ACL", "SETUSER", "turted", &right.replace('+', "-")]);
        if check(&[("TURTED_CLUSTER_URL", &url)]).0 == 0 {
            spare.push(*right);
        }
        redis.client().ask(&["ACL", "SETUSER", "turted", right]);
    }
    assert_eq!(spare, ["+client|setname"], "it only lets operators see in Redis which connection is whose");
}

#[test]
fn all_rights_that_are_missing_are_named() {
    let redis = RedisServer::start();
    redis.client().ask(&documented_rights());
    let url = format!("{}/1", redis.url().replace("://", "://turted:PASSWORD@"));
    for lacking in [["-select", "-xread"], ["-eval", "-xread"], ["-info", "-publish"], ["-hset", "-set"]] {
        let user = [&["ACL", "SETUSER", "turted"], &lacking[..]].concat();
        redis.client().ask(&user);
        let (code, text) = check(&[("TURTED_CLUSTER_URL", &url)]);
        for right in lacking.map(|right| right[1..].to_uppercase()) {
            assert!(text.contains(&format!("may not \"{right} ")), "{right}: {text}");
        }
        assert_eq!((code, text.matches("may not").count()), (1, 2), "{text}");
        redis.client().ask(&user.iter().map(|part| part.replace('-', "+")).collect::<Vec<_>>());
        assert_eq!(redis.client().number(&["DBSIZE"]), 0, "nothing is left");
    }
}

#[test]
fn a_node_that_lacks_a_right_ends_at_its_start_and_names_all_that_it_lacks() {
    let redis = RedisServer::start();
    let rights = documented_rights();
    redis.client().ask(&rights);
    let url = format!("{}/1", redis.url().replace("://", "://turted:PASSWORD@"));
    let serve = || {
        let output = Command::new(env!("CARGO_BIN_EXE_turted"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs([("TURTED_ADMIN_LISTEN", "127.0.0.1:0"), ("TURTED_CLUSTER_URL", &url)])
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    for right in rights.iter().filter(|right| right.starts_with('+') && **right != "+client|setname") {
        redis.client().ask(&["ACL", "SETUSER", "turted", &right.replace('+', "-")]);
        let said = serve();
        assert!(said.contains("the cluster cannot be joined: "), "{right}: {said}");
        redis.client().ask(&["ACL", "SETUSER", "turted", right]);
    }
    redis.client().ask(&["ACL", "SETUSER", "turted", "-xread", "-publish"]);
    let said = serve();
    assert!(said.contains("XREAD") && said.contains("PUBLISH"), "{said}");
}

#[test]
fn what_keeps_a_node_from_its_redis_is_told() {
    let redis = RedisServer::start();
    let url = redis.url();
    redis.client().ask(&["ACL", "SETUSER", "turted", "on", ">right-pass", "~*", "&*", "+@all"]);
    let wrong = url.replace("://", "://turted:canary-secret@");
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &wrong)]);
    assert!(code == 1 && text.contains("WRONGPASS") && !text.contains("canary"), "{text}");
    let needless = url.replace("://", "://:canary-secret@");
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &needless)]);
    assert!(code == 1 && text.contains("has no password set") && !text.contains("canary"), "{text}");
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &url.replace("redis://", "rediss://"))]);
    assert!(code == 1 && text.contains("speaks no TLS"), "{text}");
    redis.client().ask(&["SET", "{turted}:log", "no stream"]);
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &url)]);
    assert!(code == 1 && text.contains("WRONGTYPE"), "{text}");
    let (code, text) = check(&[("TURTED_CLUSTER_URL", "redis://127.0.0.1:1")]);
    assert!(code == 1 && text.contains("cannot connect to 127.0.0.1:1"), "{text}");
    let (code, text) =
        check(&[("TURTED_CLUSTER_SENTINELS", "127.0.0.1:1"), ("TURTED_CLUSTER_MASTER", "main")]);
    assert!(code == 1 && text.contains("no Sentinel tells where \"main\" is"), "{text}");
}

#[test]
fn replicas_that_are_missing_are_a_problem() {
    let redis = RedisServer::start();
    let (code, text) = check(&[("TURTED_CLUSTER_URL", &redis.url()), ("TURTED_CLUSTER_REPLICAS", "1")]);
    let problem = "cluster.replicas = 1, but 0 replicas follow Redis: every push would be refused";
    assert!(code == 1 && text.contains(problem), "{text}");
}

/// A node at these addresses, whose Redis is not there.
fn waiting_node(listen: &str, admin_listen: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["serve", "--listen", listen])
        .env_clear()
        .env("TURTED_ADMIN_LISTEN", admin_listen)
        .env("TURTED_CLUSTER_URL", format!("redis://127.0.0.1:{}/0", ports::free::<1>()[0]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_node_that_waits_for_redis_serves_operators_and_no_clients() {
    let [listen, admin_listen] = ports::free().map(|port| format!("127.0.0.1:{port}"));
    let mut child = waiting_node(&listen, &admin_listen);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.by_ref().map(Result::unwrap).find(|line| line.contains("Redis cannot be used"));
    assert!(waits.is_some(), "it says that it waits");
    let mut admin = Http::connect(admin_listen.parse().unwrap());
    let (health, ready, metrics) = (admin.get("/health"), admin.get("/ready"), admin.get("/metrics"));
    assert_eq!((health.status, ready.status, metrics.status), (200, 503, 200));
    assert!(ready.text().contains("cannot connect to 127.0.0.1"), "{}", ready.text());
    assert!(metrics.text().contains("turted_cluster_following 0"), "{}", metrics.text());
    assert!(std::net::TcpStream::connect(&listen).is_err(), "clients are refused");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_node_that_waits_for_redis_ends_with_a_signal() {
    let mut child = waiting_node("127.0.0.1:0", "");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.by_ref().map(Result::unwrap).find(|line| line.contains("Redis cannot be used"));
    assert!(waits.is_some(), "it says that it waits");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
