//! What the server tells beside the answer: the name of the connection, when a proof expires, and which channels
//! are lost.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use turted::authenticator::{Grants, IdentRefusal, IdentRequest, UnixTime, Verified};
use turted::config::{ChannelPattern, ChannelRules, Join};
use turted::server::Server;

use super::Client;
use crate::support::{TestServer, config};

/// The proof that a client asks for: `millis` until it ends, which is the leeway too, and the channels that it
/// grants.
async fn verify(request: IdentRequest) -> Result<Verified, IdentRefusal> {
    let user = request.user.ok_or(IdentRefusal::UserMissing)?;
    let asked: Value = serde_json::from_str(request.ident.get()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let lasts = asked["millis"].as_u64().map(Duration::from_millis);
    let channels: Vec<_> =
        asked["channels"].as_array().into_iter().flatten().flat_map(Value::as_str).collect();
    Ok(Verified {
        channels: Grants::parse(&channels).unwrap(),
        expires: lasts.map(|lasts| UnixTime(now + lasts)),
        leeway: lasts.unwrap_or_default(),
        ..Verified::user(user.name)
    })
}

/// A server where channels `claim.*` need a grant, and `user` needs a user.
pub(crate) fn server(workers: usize) -> TestServer {
    let mut config = config();
    config.workers = workers;
    config.channels = ChannelRules::new([
        (ChannelPattern::parse("claim.*").unwrap(), Join::Claim),
        (ChannelPattern::parse("user").unwrap(), Join::Identified),
    ]);
    TestServer::run(Server::builder(config).authenticator(verify).bind().unwrap())
}

pub(crate) fn ident(user: &str, millis: Option<u64>, channels: &[&str]) -> Value {
    let data = json!({"username": user, "millis": millis, "channels": channels});
    json!({"id": 1, "do": "ident", "data": data})
}

/// The milliseconds that are left, which are at most `most`.
fn expires_in(reply: &Value, most: u64) -> u64 {
    let left = reply["expires_in_ms"].as_u64().unwrap_or_else(|| panic!("{reply}"));
    assert!(left <= most, "{left} of {most}");
    left
}

fn sorted(channels: &Value) -> Vec<&str> {
    let mut names: Vec<_> = channels.as_array().unwrap().iter().flat_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

/// The channels that the admin API shows for a connection.
pub(crate) fn channels_of(server: &TestServer, connection: &Value) -> Value {
    let shown = server.admin().get(&format!("/api/v1/connections/{}", connection.as_str().unwrap()));
    assert_eq!(shown.status, 200, "{connection}");
    let shown = shown.json();
    assert_eq!(shown["public_id"], *connection);
    shown["channels"].clone()
}

#[test]
fn the_name_of_the_connection_is_that_of_the_admin_api_also_after_a_resume() {
    let server = server(3);
    let mut session = Value::Null;
    let mut cursor = Value::Null;
    for round in 0..6 {
        let mut client = Client::new(&server);
        let first = client.welcome["connection"].clone();
        assert_eq!(channels_of(&server, &first), json!([]), "its own, {round}");
        if round == 0 {
            (session, cursor) = (client.welcome["session"].clone(), client.welcome["cursor"].clone());
            client.join("chat");
            continue;
        }
        let reply = client.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}));
        let connection = &reply["connection"];
        assert_ne!(*connection, first);
        assert_eq!(channels_of(&server, connection), json!(["chat"]));
        assert_eq!(
            server.admin().get(&format!("/api/v1/connections/{}", first.as_str().unwrap())).status,
            404
        );
        let listed = server.admin().get("/api/v1/connections").json();
        let mut listed = listed["connections"].as_array().unwrap().iter();
        assert!(listed.any(|shown| shown["public_id"] == *connection));
    }
}

#[test]
fn a_proof_says_when_it_ends_without_leeway_and_one_that_lasts_says_nothing() {
    let server = server(1);
    let mut client = Client::new(&server);
    let reply = client.ask(&ident("alice", Some(600_000), &[]));
    assert!(expires_in(&reply, 600_000) > 500_000);
    assert_eq!(client.ask(&ident("alice", Some(0), &[]))["expires_in_ms"], 0);
    let lasting = client.ask(&ident("alice", None, &[]));
    assert_eq!(lasting, json!({"reply": 1, "ok": true, "username": "alice"}));
    let headers =
        [("Sec-WebSocket-Protocol", "turted.v1, turted.ident.eyJ1c2VybmFtZSI6ImFsIiwibWlsbGlzIjo2MDAwMDB9")];
    let mut welcomed = Client::with(&server, &headers);
    assert_eq!(welcomed.welcome["username"], "al");
    assert!(expires_in(&welcomed.welcome, 600_000) > 500_000);
    welcomed.ping();
    assert!(Client::new(&server).welcome.get("expires_in_ms").is_none());
}

#[test]
fn an_ident_says_which_channels_are_lost_by_it() {
    let server = server(1);
    let mut client = Client::new(&server);
    client.ask(&ident("alice", None, &["claim.a", "claim.b"]));
    let all = json!(["claim.a", "claim.b", "user", "open"]);
    let joined = client.ask(&json!({"id": 2, "do": "join", "channels": all}));
    assert_eq!(joined["channels"], all);
    let same = client.ask(&ident("alice", None, &["claim.*"]));
    assert!(same.get("left").is_none(), "{same}");
    assert_eq!(client.ask(&ident("alice", None, &["claim.b"]))["left"], json!(["claim.a"]));
    assert_eq!(client.ask(&ident("bob", None, &[]))["left"], json!(["claim.b"]));
    assert!(client.ask(&ident("eve", None, &[])).get("left").is_none(), "they are lost once");
    let kept = channels_of(&server, &client.welcome["connection"].clone());
    assert_eq!(sorted(&kept), ["open", "user"]);
}

#[test]
fn an_expired_proof_says_which_channels_are_lost_by_it() {
    let server = server(1);
    let mut client = Client::new(&server);
    client.ask(&ident("alice", Some(700), &["claim.a"]));
    client.ask(&json!({"id": 2, "do": "join", "channels": ["claim.a", "user", "open"]}));
    let told = client.receive();
    assert_eq!((&told["reply"], &told["error"]["code"]), (&Value::Null, &json!("token-expired")));
    assert_eq!(sorted(&told["left"]), ["claim.a", "user"]);
    let kept = channels_of(&server, &client.welcome["connection"].clone());
    assert_eq!(kept, json!(["open"]));
    client.ask(&ident("alice", Some(10), &[]));
    let told = client.receive();
    assert_eq!((&told["error"]["code"], told.get("left")), (&json!("token-expired"), None));
}

#[test]
fn a_session_that_is_resumed_is_told_who_it_is_and_for_how_long() {
    let server = server(2);
    let mut client = Client::new(&server);
    client.ask(&ident("alice", Some(600_000), &["claim.a"]));
    client.ask(&json!({"id": 2, "do": "join", "channels": ["claim.a", "user", "open"]}));
    let (session, cursor) = (client.welcome["session"].clone(), client.ping());
    drop(client);
    let mut client = Client::new(&server);
    let reply = client.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}));
    assert_eq!((&reply["username"], reply.get("left")), (&json!("alice"), None), "{reply}");
    assert!(expires_in(&reply, 600_000) > 500_000);
    assert_eq!(sorted(&channels_of(&server, &reply["connection"])), ["claim.a", "open", "user"]);
    let mut nobody = Client::new(&server);
    let (session, cursor) = (nobody.welcome["session"].clone(), nobody.ping());
    drop(nobody);
    let reply = client.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}));
    assert_eq!(reply["ok"], true);
    assert!(["username", "expires_in_ms", "left"].iter().all(|name| reply.get(name).is_none()), "{reply}");
}

#[test]
fn a_session_that_is_resumed_is_told_what_it_lost_while_its_connection_was_dead() {
    let server = server(2);
    let mut dead = Client::new(&server);
    dead.ask(&ident("alice", Some(700), &["claim.*"]));
    dead.ask(&json!({"id": 2, "do": "join", "channels": ["claim.a", "user", "open"]}));
    let (session, cursor) = (dead.welcome["session"].clone(), dead.ping());
    // It is sent that its token has expired, and never reads it.
    while channels_of(&server, &dead.welcome["connection"]) != json!(["open"]) {}
    let resume = |cursor: &Value| {
        let mut client = Client::new(&server);
        (client.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor})), client)
    };
    let (reply, mut client) = resume(&cursor);
    assert_eq!((&reply["ok"], reply.get("username")), (&json!(true), None), "{reply}");
    assert_eq!(sorted(&reply["left"]), ["claim.a", "user"]);
    client.ask(&ident("alice", None, &[]));
    client.ask(&json!({"id": 2, "do": "join", "channel": "user"}));
    let (reply, mut client) = resume(&cursor);
    assert_eq!((&reply["username"], &reply["left"]), (&json!("alice"), &json!(["claim.a"])), "{reply}");
    server.push(r#"{"event": "E", "targets": {"channels": ["open"]}}"#);
    let event = client.receive();
    let (reply, _) = resume(&event["cursor"]);
    assert!(reply.get("left").is_none(), "a later position shows that the client was told: {reply}");
}
