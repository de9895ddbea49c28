//! A session of turted.v1 that two connections want, and one that breaks while it is resumed.

use std::net::Shutdown;

use serde_json::{Value, json};

use crate::support::{TestServer, eventually};
use crate::v1::Client;

fn resume(client: &Client) -> Value {
    json!({"id": 1, "do": "resume", "session": client.welcome["session"], "cursor": client.welcome["cursor"]})
}

#[test]
fn a_session_that_is_taken_over_closes_its_old_connection_with_4001() {
    let server = TestServer::with(|config| config.workers = 2);
    for _ in 0..6 {
        let mut first = Client::new(&server);
        first.join("c");
        let mut second = Client::new(&server);
        assert_eq!(second.ask(&resume(&first))["ok"], true);
        assert_eq!(first.socket.close_code(), Some(4001), "do not come back");
        server.dispatcher().notify_channel("c", "e", &1).unwrap();
        assert_eq!(second.receive()["payload"], 1);
    }
}

#[test]
fn a_resume_of_ones_own_session_is_refused_and_the_connection_goes_on() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    client.join("c");
    let own = resume(&client);
    let refused = client.ask(&own);
    assert_eq!((&refused["reply"], &refused["ok"]), (&json!(1), &json!(false)));
    assert_eq!(refused["error"]["code"], "session-own");
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    assert_eq!(client.receive()["payload"], 1, "nothing has changed");
    // Also when the session came from another connection.
    let mut next = Client::new(&server);
    assert_eq!(next.ask(&own)["ok"], true);
    assert_eq!(next.receive()["payload"], 1);
    assert_eq!(next.ask(&own)["error"]["code"], "session-own");
    assert_eq!(client.socket.close_code(), Some(4001));
}

#[test]
fn session_and_cursor_from_before_a_resume_hold_until_its_reply_has_come() {
    let server = TestServer::with(|config| config.workers = 2);
    let mut client = Client::new(&server);
    client.join("c");
    let request = resume(&client);
    client.socket.stream.shutdown(Shutdown::Both).unwrap();
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    for _ in 0..4 {
        // The request arrives, its reply does not.
        let mut broken = Client::new(&server);
        broken.socket.send_text(request.to_string());
        broken.socket.stream.shutdown(Shutdown::Both).unwrap();
    }
    // All of them are over: one that is late would take the session over.
    eventually("the broken connections to end", || {
        server.admin().get("/api/v1/counts").json()["connections"]["websocket"].as_u64() == Some(0)
    });
    let mut client = Client::new(&server);
    let reply = client.ask(&request);
    assert_eq!((&reply["ok"], &reply["replayed"]), (&json!(true), &json!(1)), "{reply}");
    assert_eq!(client.receive()["payload"], 1);
}
