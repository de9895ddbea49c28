//! What clients cause, and what they do not.

use std::time::Duration;

use serde_json::{Value, json};
use turted::authenticator::{IdentRequest, UnixTime, Verified};
use turted::config::{ClientRecord, IdentMode};
use turted::server::Server;

use super::backend::{Backend, short};
use super::{Says, hook, server};
use crate::support::resuming::Resuming;
use crate::support::{EventSource, Kind, TestServer, config, eventually};
use crate::v1;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Lets a user come online whose record comes behind all that happened before.
fn mark(server: &TestServer, backend: &Backend, user: &str) -> Vec<String> {
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ident(user);
    backend.up_to(&format!("user-online {user}"))
}

#[test]
fn a_user_comes_online_joins_leaves_and_is_gone_in_this_order() {
    let backend = Backend::new();
    let server = server(hook(&backend));
    // Who is there before that is told twice: as one of all, and as a change.
    backend.up_to("synced");
    for kind in Kind::ALL {
        let before = backend.records().len();
        let user = format!("adam-{before}");
        let mut client = server.client(kind);
        client.join("early");
        client.ident(&user);
        client.join("chat");
        client.part("chat");
        client.leave();
        let told = backend.up_to(&format!("user-offline {user} (closed by the client)"));
        let told = told.iter().filter(|record| record.contains(&user)).cloned().collect::<Vec<_>>();
        let expected = [
            format!("user-online {user}"),
            format!("joined {user} early"),
            format!("joined {user} chat"),
            format!("left {user} chat (LEAVE)"),
            format!("left {user} early (closed by the client)"),
            format!("user-offline {user} (closed by the client)"),
        ];
        assert_eq!(told, expected, "{kind:?}");
    }
    assert_eq!(server.metric("turted_hook_up{hook=\"app\"}"), 1);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 0);
}

#[test]
fn the_start_comes_first_then_all_who_are_online_and_the_numbers_have_no_holes() {
    let backend = Backend::new();
    let server = server(hook(&backend));
    assert_eq!(backend.up_to("synced"), ["started", "synced"]);
    mark(&server, &backend, "adam");
    let batches = backend.batches();
    let mut next = 1;
    for batch in &batches {
        assert_eq!((&batch.json["node"], &batch.json["life"]), (&json!("one"), &batches[0].json["life"]));
        assert_eq!(batch.json["sequence"], next);
        next += batch.json["records"].as_array().unwrap().len();
    }
}

#[test]
fn who_loads_a_page_anew_or_resumes_within_the_grace_causes_nothing() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.grace = HOUR;
    let server = server(hook);
    let mut client = Resuming::new(&server);
    client.ident("adam");
    client.join("chat");
    // The connection is lost, and the session resumed.
    let mut client = client.resume(&server);
    // The page is loaded anew.
    client.client.send("41");
    let mut again = server.client(Kind::V4_WEBSOCKET);
    again.ident("adam");
    again.join("chat");
    again.leave();
    let told = mark(&server, &backend, "eve");
    let told: Vec<_> = told.iter().filter(|record| record.contains("adam")).collect();
    assert_eq!(told, ["user-online adam", "joined adam chat"]);
}

#[test]
fn a_resumed_session_that_leaves_is_told_at_once() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.grace = HOUR;
    let server = server(hook);
    let mut client = Resuming::new(&server);
    client.ident("adam");
    client.join("chat");
    let mut client = client.resume(&server);
    client.part("chat");
    backend.up_to("left adam chat (LEAVE)");
}

#[test]
fn another_ident_counts_at_once() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.grace = HOUR;
    let server = server(hook);
    backend.up_to("started");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ident("adam");
    client.join("chat");
    client.ident("adam");
    client.ident("eve");
    let told = backend.up_to("user-offline adam (another IDENT)");
    let expected = [
        "user-online adam",
        "joined adam chat",
        "user-online eve",
        "joined eve chat",
        "left adam chat (another IDENT)",
        "user-offline adam (another IDENT)",
    ];
    assert_eq!(told[1..], expected);
}

#[test]
fn a_token_that_expires_counts_at_once_and_each_user_of_a_connection_by_itself() {
    let backend = Backend::new();
    let mut config = config();
    let mut hook = hook(&backend);
    hook.grace = HOUR;
    config.hooks = vec![hook];
    config.auth.ident = IdentMode::Add;
    let verify = |request: IdentRequest| async move {
        let user = request.user.unwrap();
        let is_short = user.name.as_str() == "short";
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let expires = is_short.then(|| UnixTime(now + Duration::from_secs(2)));
        Ok(Verified { expires, ..Verified::user(user.name) })
    };
    let server = TestServer::run(Server::builder(config).authenticator(verify).bind().unwrap());
    backend.up_to("started");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.join("chat");
    client.ident("long");
    client.ident("short");
    let told = backend.up_to("user-offline short (token expired)");
    let expected = [
        "user-online long",
        "joined long chat",
        "user-online short",
        "joined short chat",
        "left short chat (token expired)",
        "user-offline short (token expired)",
    ];
    assert_eq!(told[1..], expected);
}

#[test]
fn each_connection_begins_and_ends_once_whatever_it_speaks() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.clients = vec![ClientRecord::Connected, ClientRecord::Disconnected];
    let server = server(hook);
    backend.up_to("synced");
    let clients: Vec<_> = Kind::ALL.map(|kind| server.client(kind)).into();
    let (client, mut stream) =
        (v1::Client::new(&server), EventSource::connect(server.address(), "/sse?channel=c", &[]).unwrap());
    stream.start();
    clients.into_iter().for_each(crate::support::Client::leave);
    drop((client, stream));
    let count = |kind: &str| {
        let records = backend.records();
        let of_kind = records.iter().filter(|record| record["type"] == kind);
        of_kind.map(|record| record["connection"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("all have ended", || count("disconnected").len() == 8);
    let (mut began, mut ended) = (count("connected"), count("disconnected"));
    began.sort_unstable();
    ended.sort_unstable();
    assert_eq!(began, ended);
    began.dedup();
    assert_eq!(began.len(), 8);
}

#[test]
fn a_resume_is_neither_the_end_of_a_connection_nor_the_beginning_of_one() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.grace = HOUR;
    hook.clients = vec![ClientRecord::Connected, ClientRecord::Disconnected];
    let server = server(hook);
    backend.up_to("started");
    // Its connection is lost, or is not known to be dead yet.
    let mut client = Resuming::new(&server).resume(&server);
    client = client.resume(&server);
    let connected: Value = serde_json::from_str(&client.client.connected[2..]).unwrap();
    client.client.leave();
    eventually("its end", || backend.records().len() == 3);
    let records = backend.records();
    let kinds: Vec<_> = records[1..].iter().map(|record| (&record["type"], &record["connection"])).collect();
    let name = &connected["sid"];
    assert_eq!(
        kinds,
        [(&json!("connected"), name), (&json!("disconnected"), name)],
        "the name that the client knows"
    );
}

#[test]
fn a_stop_sends_what_waits_and_nothing_of_the_connections_that_it_closes() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.clients.push(ClientRecord::Disconnected);
    hook.dispatches = vec![turted::config::ChannelPattern::parse("*").unwrap()];
    let server = server(hook);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ident("adam");
    client.join("chat");
    for number in 0..1_000 {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    server.stop();
    // Nothing is waited for: what is not there by now does not come.
    let records = backend.records();
    let is = |kind: &'static str| records.iter().filter(move |record| record["type"] == kind);
    let numbers: Vec<_> =
        is("dispatch").map(|record| record["dispatch"]["payload"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    let ends: Vec<_> = is("user-offline").chain(is("left")).chain(is("disconnected")).map(short).collect();
    assert!(ends.is_empty(), "{ends:?}");
    assert_eq!(is("stopped").count(), 1);
    assert_eq!(short(records.last().unwrap()), "stopped", "the last record of the life");
    drop(client);
}
