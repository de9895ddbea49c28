//! Inboxes that stay full, because a worker stalls: sources wait, others do not, and what is lost is counted.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
use turted::server::Server;
use turted_core::wire::resp::Reply;

use super::{Setup, pending};
use crate::support::redis::{Redis, RedisServer};
use crate::support::{Client, Kind, TestServer, eventually, pause};

/// A worker that does nothing until it is let go: its authenticator blocks.
#[derive(Clone, Default)]
struct Stall(Arc<(Mutex<bool>, Condvar)>);

impl Stall {
    fn server(&self, setup: &Setup) -> TestServer {
        let (mut config, stall) = (setup.config(), self.clone());
        config.limits.inbox_dispatches = 200;
        let server = Server::builder(config).authenticator(move |request: IdentRequest| {
            let user = request.user.ok_or(IdentRefusal::UserMissing);
            if user.as_ref().is_ok_and(|user| user.name.as_str() == "stall") {
                stall.wait();
            }
            async move { Ok(Verified::user(user?.name)) }
        });
        TestServer::run(server.bind().unwrap())
    }

    fn wait(&self) {
        let (is_over, change) = &*self.0;
        drop(change.wait_while(is_over.lock().unwrap(), |is_over| !*is_over).unwrap());
    }

    fn end(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// A worker that stalls, and the client whose IDENT does that. It is let go at the end, also of a test that fails.
struct Stalled {
    stall: Stall,
    _client: Client,
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.stall.end();
    }
}

impl Stall {
    fn begin(&self, server: &TestServer) -> Stalled {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.emit("IDENT", r#"{"username":"stall"}"#);
        let stalled = Stalled { stall: self.clone(), _client: client };
        eventually("a worker does not answer", || {
            let page = server.admin().get("/metrics").text().to_owned();
            page.lines().any(|line| line.starts_with("turted_worker_responsive{") && line.ends_with(" 0"))
        });
        stalled
    }
}

/// What the server says of its source. Metrics would ask the worker that stalls, and wait for it.
fn source(server: &TestServer) -> Value {
    server.admin().get("/api/v1/sources").json()["sources"][0].take()
}

fn count(server: &TestServer, outcome: &str) -> u64 {
    source(server)["messages"][outcome].as_u64().unwrap()
}

fn is_waiting(server: &TestServer) -> bool {
    source(server)["waiting_seconds"].as_f64().unwrap() > 0.0
}

fn publish(redis: &mut Redis, count: usize) {
    let command = ["PUBLISH", "push", r#"{"event":"E","targets":{"users":["u"]}}"#];
    let commands: Vec<Vec<&str>> = (0..count).map(|_| command.to_vec()).collect();
    for reply in redis.ask_all(&commands) {
        assert_eq!(reply, Reply::Integer(1));
    }
}

#[test]
fn what_a_subscriber_has_no_room_for_is_dropped_and_counted() {
    let redis = RedisServer::start();
    let stall = Stall::default();
    let server = stall.server(&Setup::pubsub(&redis, "channels = [\"push\"]"));
    eventually("the source is up", || source(&server)["up"] == true);
    let stalled = stall.begin(&server);
    publish(&mut redis.client(), 15_000);
    let sum = |name| count(&server, name);
    // 100 fill half of the inbox, 100 were taken, 10,000 wait.
    eventually("what does not fit is dropped", || sum("gap") > 4_000);
    drop(stalled);
    eventually("all others are accepted", || sum("accepted") + sum("gap") == 15_000);
    assert!(sum("accepted") >= 10_000, "{}", sum("accepted"));
    assert_eq!(source(&server)["up"], true, "the connection was kept");
}

/// A server that stalls and takes ten entries of a stream at once, and 3,000 entries.
fn backed_up(redis: &RedisServer) -> (TestServer, Stalled) {
    let stall = Stall::default();
    let server = stall.server(&Setup::stream(redis, "prefetch = 10"));
    let stalled = stall.begin(&server);
    let entry = vec!["XADD", "events", "*", "event", "E", "users", "u"];
    redis.client().ask_all(&vec![entry; 3_000]);
    (server, stalled)
}

#[test]
fn a_stream_waits_for_room_while_pushes_pass_and_loses_nothing() {
    let redis = RedisServer::start();
    let (server, stalled) = backed_up(&redis);
    let sum = |name| count(&server, name);
    eventually("it waits", || is_waiting(&server));
    let accepted = sum("accepted");
    assert!((100..200).contains(&accepted), "{accepted}: half of the inbox");
    assert!(pending(&redis) <= 10, "no more is read than is asked for");
    for _ in 0..50 {
        server.dispatcher().notify_user("u", "E", &0).expect("half of the inbox is left to others");
    }
    drop(stalled);
    eventually("all are accepted", || sum("accepted") == 3_000);
    eventually("all are acknowledged", || pending(&redis) == 0);
}

#[test]
#[ignore = "20 s: just soak-sources"]
fn soak_a_consumer_that_waits_says_that_it_still_has_its_entries() {
    let redis = RedisServer::start();
    let (server, stalled) = backed_up(&redis);
    eventually("it waits", || is_waiting(&server));
    pause(Duration::from_secs(17));
    let idle = ["XPENDING", "events", "turted", "IDLE", "15000", "-", "+", "10"];
    assert_eq!(redis.client().ask(&idle), Reply::Array(vec![]), "each was claimed anew meanwhile");
    assert!(pending(&redis) > 0);
    drop(stalled);
    eventually("all are accepted", || count(&server, "accepted") == 3_000);
}
