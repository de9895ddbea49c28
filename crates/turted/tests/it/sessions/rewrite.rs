//! Files of which most is out of date are written anew, by all workers and for clients that are away.

use std::collections::BTreeSet;

use super::*;
use crate::support::eventually;

/// Joins 120 channels with long names, 30 kB of them, and goes away.
fn fill(server: &Child) {
    let channels: Vec<String> = (0..120).map(|number| format!("{number:0250}")).collect();
    let reply = connect_v1(server).ask(&json!({"id": 1, "do": "join", "channels": channels}));
    assert_eq!(reply["ok"], true, "{reply}");
}

#[test]
fn every_session_survives_that_the_files_are_written_anew() {
    let directory = Directory::new("rewritten");
    let server = directory.start();
    let join = |channel: &str| {
        let mut client = connect(&server);
        ask(&mut client, "JOIN", channel);
        client
    };
    // On each of the workers, as likely as not.
    let connected: Vec<_> = (0..8).map(|number| join(&format!("connected{number}"))).collect();
    let mut away = join("away");
    away.client.socket().stream.shutdown(std::net::Shutdown::Both).unwrap();
    eventually("it is lost", || server.metric("turted_lost_sessions") == 1);
    let files = || directory.files().into_iter().collect::<BTreeSet<_>>();
    let before = files();
    let mut filled = 0;
    while files() == before {
        filled += 1;
        assert!(filled < 500, "4 MiB are worth to be written anew");
        fill(&server);
    }
    eventually("the files of before are deleted", || files().is_disjoint(&before));
    server.kill();
    assert_eq!(files().len(), 1);
    let server = directory.start();
    for (number, client) in connected.into_iter().enumerate() {
        let channel = format!("connected{number}");
        let mut client = come_back(&server, client);
        push(&server, &json!({"channels": [channel]}), "it is there");
        assert_eq!(client.event().payload, "it is there");
    }
    let mut away = come_back(&server, away);
    push(&server, &json!({"channels": ["away"]}), "it is there");
    assert_eq!(away.event().payload, "it is there");
    server.stop();
}
