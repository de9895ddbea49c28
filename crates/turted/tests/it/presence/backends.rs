//! What backends hear of users.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use turted::config::{Push, Secret};

use crate::support::{Kind, Response, TestServer, eventually};
use crate::v1;

fn ask(server: &TestServer, body: &Value) -> Response {
    server.http().post("/push/presence", &[], body.to_string())
}

/// What is known of one user, without the time.
fn known(server: &TestServer, user: &str) -> (bool, u64, bool) {
    let answer = ask(server, &json!({"users": [user]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = answer.json()["users"][0].clone();
    assert_eq!(status["user"], user);
    (
        status["online"].as_bool().unwrap(),
        status["connections"].as_u64().unwrap(),
        status["last_seen"].is_number(),
    )
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_backend_hears_who_is_online_on_any_worker_and_when_others_were() {
    let server = TestServer::with(|config| config.workers = 3);
    assert_eq!(known(&server, "adam"), (false, 0, false), "nothing is known");
    let mut clients: Vec<_> = (0..12).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    clients.iter_mut().for_each(|client| drop(client.ask("IDENT", r#"{"username":"adam"}"#)));
    assert_eq!(known(&server, "adam"), (true, 12, true));
    let before = now();
    drop(clients);
    eventually("all are gone", || known(&server, "adam") == (false, 0, true));
    let seen = ask(&server, &json!({"users": ["adam"]})).json()["users"][0]["last_seen"].as_u64().unwrap();
    assert!((before..=now()).contains(&seen), "{before} {seen}");
    let answer = ask(&server, &json!({"users": ["eve", 7, "eve"]})).json();
    let unknown = |user: &str| json!({"user": user, "online": false, "connections": 0, "last_seen": null});
    assert_eq!(answer, json!({"users": [unknown("eve"), unknown("7")]}));
}

#[test]
fn another_ident_is_the_end_of_the_user_before() {
    let server = TestServer::new();
    let mut client = v1::Client::new(&server);
    for user in ["adam", "adam", "eve"] {
        client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
    }
    assert_eq!(known(&server, "adam"), (false, 0, true));
    assert_eq!(known(&server, "eve"), (true, 1, true));
}

#[test]
fn a_question_has_the_credentials_of_a_push_and_is_refused_as_one() {
    let server = TestServer::with(|config| {
        config.push = Push { password: Some(Secret::from("tiger")), ..Push::default() };
    });
    let question = json!({"users": ["adam"]});
    let refused = ask(&server, &question);
    assert_eq!((refused.status, refused.text()), (401, "Wrong auth data"));
    let mut with_auth = question.clone();
    with_auth["auth"] = json!({"password": "tiger"});
    assert_eq!(ask(&server, &with_auth).status, 200);
    let header = [("Authorization", "Bearer tiger"), ("Accept", "application/json")];
    for (body, status, rule) in [
        (json!({"users": ["adam"]}), 200, Value::Null),
        (json!({}), 400, json!("users-missing")),
        (json!([]), 400, json!("item-not-an-object")),
        (json!({"users": vec!["u"; 2_000]}), 200, Value::Null),
        (json!({"users": (0..1_001).collect::<Vec<_>>()}), 400, json!("users-too-many")),
        (json!({"users": ["a\n"]}), 400, json!("name-control-character")),
    ] {
        let answer = server.http().request("POST", "/push/presence/", &header, body.to_string().as_bytes());
        assert_eq!((answer.status, &answer.json()["rule"]), (status, &rule), "{body}");
    }
    assert_eq!(server.http().request("POST", "/push/presence", &header, b"{").status, 400);
    assert_eq!(server.http().get("/push/presence").status, 405);
    let page = [("Origin", "https://elsewhere.example"), ("Authorization", "Bearer tiger")];
    let answer = server.http().post("/push/presence", &page, question.to_string());
    let reason = "pages of this origin may not ask (push.allow_origins)";
    assert_eq!((answer.status, answer.text()), (403, reason));
}
