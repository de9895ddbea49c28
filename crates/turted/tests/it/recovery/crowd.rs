//! Many sessions that are lost at once, and one client that comes back again and again.

use serde_json::json;

use crate::support::resuming::Resuming;
use crate::support::{Client, Kind, TestServer, eventually};
use crate::v1;

/// As many lost sessions as there is room for, and one more that comes and goes.
const ROOM: usize = 4;
/// Many times as often as there is room.
const ROUNDS: usize = 10 * ROOM;

fn server() -> TestServer {
    TestServer::with(|config| config.recovery.sessions = ROOM)
}

fn lost_sessions(server: &TestServer) -> usize {
    server.metric("turted_lost_sessions")
}

/// Clients whose connections are lost, and the server knows.
fn lose_some(server: &TestServer) -> Vec<Resuming> {
    let mut clients: Vec<_> = (1..ROOM).map(|_| Resuming::new(server)).collect();
    for client in &mut clients {
        client.client.socket().stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    eventually("the sessions are lost", || lost_sessions(server) == clients.len());
    clients
}

fn assert_all_come_back(server: &TestServer, clients: Vec<Resuming>) {
    for client in clients {
        let (_, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert!(recovered);
    }
}

#[test]
fn a_client_that_resumes_in_a_loop_pushes_no_lost_session_out() {
    let server = server();
    let clients = lose_some(&server);
    let mut restless = Resuming::new(&server);
    for _ in 0..ROUNDS {
        restless = restless.resume(&server);
    }
    assert_all_come_back(&server, clients);
}

#[test]
fn a_client_of_turted_v1_that_resumes_in_a_loop_pushes_no_lost_session_out() {
    let server = server();
    let clients = lose_some(&server);
    let first = v1::Client::new(&server);
    let (session, cursor) = (&first.welcome["session"], &first.welcome["cursor"]);
    for _ in 0..ROUNDS {
        let mut restless = v1::Client::new(&server);
        let request = json!({"id": 1, "do": "resume", "session": session, "cursor": cursor});
        assert_eq!(restless.ask(&request)["ok"], true);
    }
    assert_all_come_back(&server, clients);
}
