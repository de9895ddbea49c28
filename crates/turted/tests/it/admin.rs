//! The admin listener: what it tells, and whom. What it counts is tested in `metrics.rs`.

mod access;
mod actions;
mod told;

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::{Value, json};
use turted::config::{AdminListen, Secret};
use turted::dispatcher::Receipt;
use turted::server::Server;

use super::metrics::expect;
use super::support::{Client, Http, Kind, TestServer, config, eventually};

fn get(server: &TestServer, target: &str) -> Value {
    let answer = server.admin().get(target);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{target}");
    answer.json()
}

fn problem(server: &TestServer, target: &str) -> u16 {
    let answer = server.admin().get(target);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
    assert_eq!(answer.json()["status"], answer.status, "{target}");
    answer.status
}

/// Clients until both workers have one of them: each is a connection of `user`.
fn on_both_workers(server: &TestServer, user: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    eventually("both workers have a connection", || {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.ask("IDENT", &json!({"username": user}).to_string());
        clients.push(client);
        let ids = get(server, &format!("/api/v1/users/{user}"))["connection_ids"].clone();
        let workers = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().as_bytes()[0]);
        workers.collect::<BTreeSet<_>>().len() == 2
    });
    clients
}

#[test]
fn a_channel_with_presence_and_a_user_show_what_presence_knows() {
    use turted::config::{ChannelPattern, PresenceRules};
    let server = TestServer::with(|config| {
        config.presence.channels = PresenceRules::new([(ChannelPattern::parse("c*").unwrap(), true)]);
    });
    let nobody = json!({"count": 0, "anonymous": 0});
    assert_eq!(get(&server, "/api/v1/channels/c1")["presence"], nobody);
    assert!(get(&server, "/api/v1/channels/other").get("presence").is_none(), "its rule has none");
    let mut adam = server.client(Kind::V4_WEBSOCKET);
    adam.ask("IDENT", r#"{"username":"adam"}"#);
    let mut stranger = server.client(Kind::V4_WEBSOCKET);
    for client in [&mut adam, &mut stranger] {
        client.ask("JOIN", r#"{"channel":"c1"}"#);
    }
    let both = json!({"count": 1, "anonymous": 1, "users": ["adam"]});
    eventually("both are told", || get(&server, "/api/v1/channels/c1")["presence"] == both);
    let seen = |user: &str| get(&server, &format!("/api/v1/users/{user}"))["last_seen"].as_u64();
    assert!(seen("adam").is_some(), "now");
    assert_eq!(seen("eve"), None, "unknown");
    drop(adam);
    eventually("it is gone", || get(&server, "/api/v1/users/adam")["online"] == false);
    assert!(seen("adam").is_some(), "it is known when it was there last");
}

#[test]
fn the_memory_of_the_process_stands_beside_what_it_is_at_most() {
    let server = TestServer::new();
    let [now, most] = ["turted_memory_bytes", "turted_memory_max_bytes"].map(|name| server.metric(name));
    assert!(now > 1 << 20 && most > now, "{now} of {most}");
}

#[test]
fn a_user_on_two_workers_is_one_user() {
    let server = TestServer::new();
    let clients = on_both_workers(&server, "adam");
    let counts = get(&server, "/api/v1/counts");
    assert_eq!((&counts["users"], &counts["workers"]), (&json!(1), &json!(2)));
    assert_eq!(
        counts["connections"],
        json!({"socketio": clients.len(), "websocket": 0, "sse": 0, "sockjs": 0})
    );
    let listed = json!({"users": [{"name": "adam", "connections": clients.len()}], "more": false});
    assert_eq!(get(&server, "/api/v1/users"), listed);
    let adam = get(&server, "/api/v1/users/adam");
    assert_eq!((&adam["online"], &adam["connections"]), (&json!(true), &json!(clients.len())));
    let eve = json!({"name": "eve", "online": false, "connections": 0, "connection_ids": []});
    assert_eq!(get(&server, "/api/v1/users/eve"), eve);
    expect(&server, &[("turted_users", 1.0)]);
}

#[test]
fn lists_are_sorted_bounded_and_selected_by_prefix() {
    let server = TestServer::new();
    let mut clients: Vec<_> = (0..4).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    for (number, channel) in ["b/2", "a", "b/1", "\u{e4} ", "b/3"].iter().enumerate() {
        clients[number % 4].ask("JOIN", &json!({"channel": channel}).to_string());
    }
    clients[3].ask("JOIN", r#"{"channel":"b/1"}"#);
    let list = |query: &str| {
        let list = get(&server, &format!("/api/v1/channels{query}"));
        let names = list["channels"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap());
        (names.map(str::to_owned).collect::<Vec<_>>(), list["more"] == true)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(list(""), (names(&["a", "b/1", "b/2", "b/3", "\u{e4} "]), false));
    assert_eq!(list("?prefix=b%2f"), (names(&["b/1", "b/2", "b/3"]), false));
    assert_eq!(list("?prefix=b/&limit=2"), (names(&["b/1", "b/2"]), true));
    assert_eq!(list("?limit=1000&prefix=%C3%A4+"), (names(&["\u{e4} "]), false));
    assert_eq!(get(&server, "/api/v1/channels/b%2F1")["connections"], 2);
    assert_eq!(get(&server, "/api/v1/channels/%C3%A4%20")["connections"], 1);
    assert_eq!(get(&server, "/api/v1/channels/b")["connections"], 0);
}

#[test]
fn a_connection_is_described() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_POLLING);
    client.ask("IDENT", r#"{"username":"adam"}"#);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    let adam = get(&server, "/api/v1/users/adam");
    let id = adam["connection_ids"][0].as_str().unwrap();
    let position =
        server.dispatcher().notify_user("adam", "E", &1).and_then(Receipt::wait).unwrap().first().to_string();
    let mut state = Value::Null;
    eventually("the event waits for the next request", || {
        state = get(&server, &format!("/api/v1/connections/{id}"));
        state["outbox_frames"] == 1
    });
    let connected: Value = serde_json::from_str(&client.connected[2..]).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(state["connected_since"].as_u64().unwrap().abs_diff(now) < 60, "{state}");
    assert!(state["outbox_bytes"].as_u64().unwrap() > 20, "{state}");
    for key in ["connected_since", "outbox_bytes", "sent_bytes"] {
        state[key].take();
    }
    assert_eq!(
        state,
        json!({
            "id": id, "public_id": connected["sid"], "address": "127.0.0.1", "sent_bytes": null, "transport": "socketio", "version": "4", "carrier": "polling",
            "users": ["adam"], "channels": ["chat"], "sent": position,
            "outbox_frames": 1, "outbox_bytes": null, "connected_since": null,
        })
    );
    let public_id = connected["sid"].as_str().unwrap();
    assert_eq!(get(&server, &format!("/api/v1/connections/{public_id}"))["id"], id);
    client.event();
    for gone in ["0-70000-0", "9-0-0", "x", client.sid.as_str()] {
        assert_eq!(problem(&server, &format!("/api/v1/connections/{gone}")), 404, "{gone}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let server = TestServer::new();
    for target in [
        "/api/v1/users/%zz",
        "/api/v1/users/%ff",
        "/api/v1/users/a%0Ab",
        "/api/v1/users?limit=1001",
        "/api/v1/users?limit=0",
        "/api/v1/channels?lmit=1",
        "/api/v1/counts?x",
    ] {
        assert_eq!(problem(&server, target), 400, "{target}");
    }
    for target in ["//", "/api/v1", "/api/v1/", "/api/v1/users/a/b", "/push/", "/socket.io/"] {
        assert_eq!(problem(&server, target), 404, "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.admin().request(method, "/api/v1/counts", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let mut head = server.admin();
    head.send_request("HEAD", "/api/v1/counts", &[], b"");
    assert_eq!(head.read_head().unwrap().status, 200);
    let foreign = server.admin().request("GET", "/api/v1/counts", &[("X", "1")], b"");
    assert_eq!(foreign.status, 200);
    let mut rebound = server.admin();
    rebound.send("GET /api/v1/users HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(rebound.read().unwrap().status, 421);
}

#[test]
fn a_token_protects_all_but_health() {
    let server = TestServer::with(|config| config.admin.token = Some(Secret::from("right")));
    let ask = |target: &str, authorization: &str| {
        let headers = [("Authorization", authorization)];
        let headers = if authorization.is_empty() { &[][..] } else { &headers };
        server.admin().request("GET", target, headers, b"")
    };
    for target in ["/metrics", "/api/v1/counts", "/api/v1/users", "/nothing"] {
        for wrong in ["", "Basic right", "Bearer", "right"] {
            let answer = ask(target, wrong);
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
        }
        assert_ne!(ask(target, "bearer right").status, 401);
    }
    for target in ["/health", "/ready"] {
        assert_eq!(ask(target, "").status, 200);
    }
    let statuses: Vec<_> = (0..12).map(|_| ask("/metrics", "Bearer wrong").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(ask("/metrics", "Bearer right").status, 429, "a guesser learns nothing");
    assert_eq!(ask("/health", "Bearer wrong").status, 200);
}

#[test]
fn a_right_token_that_nobody_guesses_passes_although_its_address_guessed_too_often() {
    for (token, status) in [("0123456789abcdefghijkl", 200), ("0123456789abcdefghijk", 429)] {
        let server = TestServer::with(|config| {
            config.admin.token = Some(Secret::from(token));
            config.limits.wrong_passwords = 1;
        });
        let ask = |authorization: &str| {
            let headers = [("Authorization", authorization)];
            server.admin().request("GET", "/metrics", &headers, b"").status
        };
        let right = format!("Bearer {token}");
        for nothing in ["Bearer", "Bearer ", ""] {
            assert_eq!(ask(nothing), 401, "an empty token is no guess");
        }
        assert_eq!((ask(&right), ask("Bearer wrong"), ask("Bearer wrong")), (200, 401, 429));
        assert_eq!(ask(&right), status, "{token}");
        assert_eq!(ask("Bearer"), 429);
    }
}

#[test]
fn health_is_on_the_public_port_too_and_the_rest_is_not() {
    let server = TestServer::new();
    assert_eq!(server.http().get("/health").text(), "ok\n");
    for target in ["/metrics", "/ready", "/api/v1/counts", "/health/x"] {
        assert_eq!(server.http().get(target).status, 404, "{target}");
    }
}

#[test]
fn a_taken_default_port_is_given_up_and_a_chosen_one_is_waited_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let bind = |listen| {
        let mut config = config();
        config.admin.listen = listen;
        Server::bind(config)
    };
    assert_eq!(bind(AdminListen::IfFree(address)).unwrap().admin_address(), None);
    assert_eq!(bind(AdminListen::Off).unwrap().admin_address(), None);
    // A server of before may still drain there.
    let waiting = bind(AdminListen::At(address)).unwrap();
    assert_eq!(waiting.admin_address(), Some(address));
    drop(taken);
    eventually("it is free", || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(Http::connect(address).get("/ready").status, 200);
    drop(waiting);
    let server = bind(AdminListen::At(([127, 0, 0, 1], 0).into())).unwrap();
    let mut admin = Http::connect(server.admin_address().unwrap());
    assert_eq!(admin.get("/ready").status, 200, "served as soon as it is bound");
}

#[test]
fn beyond_this_machine_events_are_shown_only_where_there_is_a_token() {
    let paths = ["/api/v1/events", "/api/v1/trace/1-1", "/api/v1/channels/chat/history"];
    let status = |token: Option<&str>, path: &str| {
        let server = TestServer::with(|config| {
            config.admin.listen = AdminListen::At(([0, 0, 0, 0], 0).into());
            config.admin.token = token.map(Secret::from);
        });
        server.admin().get(path).status
    };
    for path in paths {
        assert_eq!(status(None, path), 403, "{path}");
        assert_eq!(status(Some("a token of 22 characters"), path), 401, "{path}");
    }
}
