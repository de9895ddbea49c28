//! Several servers as one, as backends and operators see it: what reaches how many, who is where, and who is missing.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use turted::config::{ClientAuth, Config, ConfigFile, Secret, Sources};
use turted_core::cluster::entry::{Body, Entry};
use turted_core::cluster::head::{Author, VERSION};
use turted_core::cluster::node::{NodeRecord, Progress};
use turted_core::name::Name;
use turted_core::wire::resp::Reply;

use crate::live::{TOKEN, Watcher};
use crate::support::redis::RedisServer;
use crate::support::{Response, TestServer, eventually};
use crate::v1;

/// Servers in one cluster.
struct Nodes {
    redis: RedisServer,
    nodes: Vec<TestServer>,
}

impl Nodes {
    fn start(count: usize) -> Self {
        Self::with(count, |_, _| {})
    }

    /// So many, each with what `change` changes.
    fn with(count: usize, change: impl Fn(usize, &mut Config)) -> Self {
        let redis = RedisServer::start();
        let nodes: Vec<_> = (0..count).map(|index| start(&redis, |config| change(index, config))).collect();
        let all = Self { redis, nodes };
        eventually("each node knows the others", || {
            all.nodes.iter().all(|node| list(node)["nodes"].as_array().unwrap().len() == count)
        });
        all
    }

    /// Lets another node be heard, once, which answers nothing.
    fn let_be_heard(&self, node: u16) {
        let mut redis = self.redis.client();
        let last = redis.ask(&["XREVRANGE", "{turted}:log", "+", "-", "COUNT", "1"]);
        let last = last.into_values().unwrap().remove(0).into_values().unwrap().remove(0);
        let Reply::Text(id) = last else { panic!("{last:?}") };
        let epoch = String::from_utf8(id.to_vec()).unwrap().split('-').next().unwrap().to_owned();
        let record = NodeRecord {
            version: Name::new("0.0.1").unwrap(),
            reads: VERSION,
            advertise: None,
            progress: Progress::default(),
            keeps: None,
            draining: false,
            connections: 3,
            rules: vec![(Name::new("limits").unwrap(), 1)],
        };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let author = Author { node, process: u64::from(node) };
        let entry: Entry = Entry { author, tag: 1, time, body: Body::Heartbeat(record) };
        let (next, entry) = (format!("{epoch}-*"), entry.encode());
        let command: [&[u8]; 5] = [b"XADD", b"{turted}:log", next.as_bytes(), b"d", &entry];
        redis.ask(&command);
    }
}

fn start(redis: &RedisServer, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut file = NamedTempFile::new().unwrap();
    let toml = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 2\n[cluster]\nurl = {:?}\n",
        redis.url()
    );
    file.write_all(toml.as_bytes()).unwrap();
    let sources =
        Sources { file: ConfigFile::Named(file.path().into()), variables: Vec::new(), flags: Vec::new() };
    let mut config = Config::load(&sources).unwrap();
    config.admin.write_token = Some(Secret::from(TOKEN));
    change(&mut config);
    TestServer::start(config)
}

fn ask(node: &TestServer, method: &str, target: &str, body: &str) -> Response {
    let bearer = format!("Bearer {TOKEN}");
    node.admin().request(method, target, &[("Authorization", &bearer)], body.as_bytes())
}

/// What a node answers to a question.
fn read(node: &TestServer, target: &str) -> Value {
    let answer = ask(node, "GET", target, "");
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

/// The same to an action.
fn act(node: &TestServer, target: &str, body: &Value) -> Value {
    let answer = ask(node, "POST", target, &body.to_string());
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

fn list(node: &TestServer) -> Value {
    read(node, "/api/v1/nodes")
}

/// What a node counts in one series.
fn metric(node: &TestServer, series: &str) -> usize {
    let metrics = ask(node, "GET", "/metrics", "");
    let mut lines = metrics.text().lines().filter_map(|line| line.rsplit_once(' '));
    lines.find(|(own, _)| *own == series).map_or(0, |(_, value)| value.parse().unwrap())
}

fn number(node: &TestServer) -> u64 {
    let listed = list(node);
    let own = listed["nodes"].as_array().unwrap().iter().find(|node| node["this"] == json!(true));
    own.unwrap()["number"].as_u64().unwrap()
}

fn client(node: &TestServer, user: &str, channel: &str) -> v1::Client {
    let mut client = v1::Client::new(node);
    let reply = client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
    assert_eq!(reply["ok"], true, "{reply}");
    client.join(channel);
    client
}

/// The answer to a push, as JSON.
fn push(node: &TestServer, targets: &Value) -> Value {
    let body = json!({"event": "E", "targets": targets, "payload": 1}).to_string();
    let headers = [("Accept", "application/json"), ("Connection", "close")];
    let answer = node.http().post("/push/", &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_push_is_answered_with_what_it_reaches_on_all_nodes() {
    let all = Nodes::start(3);
    let _clients: Vec<_> = all.nodes.iter().map(|node| client(node, "adam", "chat")).collect();
    for node in &all.nodes {
        let mut answer = push(node, &json!({"channels": ["chat"]}));
        assert!(answer["id"].take().is_string());
        assert_eq!(answer, json!({"delivered": 3, "id": null, "nodes": 3}));
    }
    all.let_be_heard(7);
    eventually("it is heard", || list(&all.nodes[0])["nodes"].as_array().unwrap().len() == 4);
    let answer = push(&all.nodes[0], &json!({"users": ["adam"]}));
    assert_eq!(
        (&answer["delivered"], &answer["nodes"], &answer["silent"]),
        (&json!(3), &json!(3), &json!(1))
    );
    let began = std::time::Instant::now();
    let answer = push(&all.nodes[0], &json!({"users": ["adam"]}));
    assert_eq!((&answer["nodes"], &answer["silent"]), (&json!(3), &json!(1)));
    assert!(began.elapsed() < Duration::from_millis(900), "it is not waited for again");
}

#[test]
fn a_server_without_a_cluster_answers_as_before() {
    let server = TestServer::new();
    let answer = push(&server, &json!({"channels": ["chat"]}));
    let members: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["delivered", "id"]);
    let listed = server.admin().get("/api/v1/nodes").json();
    let only = &listed["nodes"][0];
    assert!(only.get("number").is_none() && listed.get("silent").is_none(), "{listed}");
    assert_eq!(only["draining"], false);
}

#[test]
fn a_server_without_a_cluster_has_no_node_with_a_number() {
    let server = TestServer::with(|config| config.admin.write_token = Some(Secret::from(TOKEN)));
    let mut adam = client(&server, "adam", "chat");
    for (method, target, body) in [
        ("GET", "/api/v1/counts", ""),
        ("GET", "/api/v1/sources", ""),
        ("GET", "/api/v1/users", ""),
        ("GET", "/api/v1/users/adam", ""),
        ("GET", "/api/v1/channels/chat/history", ""),
        ("GET", "/api/v1/connections", ""),
        ("POST", "/api/v1/channels/chat/remove", r#"{"user":"adam"}"#),
        ("POST", "/api/v1/users/adam/disconnect", ""),
        ("DELETE", "/api/v1/channels/chat/history", ""),
    ] {
        let answer = ask(&server, method, &format!("{target}?node=7"), body);
        assert_eq!(answer.status, 404, "{method} {target}: {}", answer.text());
        assert_eq!(answer.json()["detail"], "there is no node with this number", "{method} {target}");
        assert_eq!(ask(&server, method, &format!("{target}?node=x"), body).status, 400, "{method} {target}");
    }
    assert_eq!(ask(&server, "GET", "/api/v1/users?node=7&limit=0", "").status, 400);
    push(&server, &json!({"channels": ["chat"]}));
    assert_eq!(adam.receive()["event"], "E", "no action was done");
}

#[test]
fn what_a_node_says_of_itself_and_the_list_of_nodes_take_no_parameter() {
    let all = Nodes::start(2);
    for target in ["/api/v1/node?node=1", "/api/v1/nodes?node=1", "/api/v1/nodes?limit=1"] {
        let answer = ask(&all.nodes[0], "GET", target, "");
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains("node and nodes take none"), "{}", answer.text());
    }
}

#[test]
fn every_node_answers_operators_for_all() {
    let all = Nodes::start(3);
    let clients: Vec<_> = all
        .nodes
        .iter()
        .zip(["adam", "eve", "adam"])
        .map(|(node, user)| client(node, user, "chat"))
        .collect();
    let (first, third) = (&all.nodes[0], &all.nodes[2]);
    let counts = read(first, "/api/v1/counts");
    assert_eq!(
        (&counts["users"], &counts["channels"], &counts["workers"]),
        (&json!(2), &json!(1), &json!(6))
    );
    assert_eq!((&counts["connections"]["websocket"], &counts["nodes"]), (&json!(3), &json!(3)), "{counts}");
    let users = json!([{"name": "adam", "connections": 2}, {"name": "eve", "connections": 1}]);
    assert_eq!(read(third, "/api/v1/users"), json!({"users": users, "more": false, "nodes": 3}));
    let page = read(third, "/api/v1/users?limit=1");
    assert_eq!((&page["users"][0]["connections"], &page["more"]), (&json!(2), &json!(true)));
    let adam = read(first, "/api/v1/users/adam");
    assert_eq!((&adam["online"], &adam["connections"]), (&json!(true), &json!(2)));
    let ids: Vec<String> = serde_json::from_value(adam["connection_ids"].clone()).unwrap();
    for id in &ids {
        let connection = read(&all.nodes[1], &format!("/api/v1/connections/{id}"));
        assert_eq!((&connection["id"], &connection["users"]), (&json!(id), &json!(["adam"])));
    }
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let page = read(first, &format!("/api/v1/connections?limit=1{after}"));
        listed.push(page["connections"][0]["id"].as_str().unwrap().to_owned());
        after = format!("&after={}", listed.last().unwrap());
        if page["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(listed.len(), 3, "{listed:?}");
    let position = push(first, &json!({"users": ["adam"]}))["id"].as_str().unwrap().to_owned();
    eventually("all nodes have it", || {
        ask(third, "GET", &format!("/api/v1/trace/{position}"), "").status == 200
    });
    let trace = read(third, &format!("/api/v1/trace/{position}"));
    assert_eq!(trace["connections"].as_array().unwrap().len(), 2, "{trace}");
    let one = read(first, &format!("/api/v1/users?node={}", number(third)));
    assert_eq!(one, json!({"users": [{"name": "adam", "connections": 1}], "more": false}));
    assert_eq!(ask(first, "GET", "/api/v1/users?node=x", "").status, 400);
    drop(clients);
}

#[test]
fn actions_reach_connections_on_all_nodes() {
    let all = Nodes::start(2);
    let mut clients: Vec<_> = all.nodes.iter().map(|node| client(node, "adam", "chat")).collect();
    let removed = act(&all.nodes[0], "/api/v1/channels/chat/remove", &json!({"user": "adam"}));
    assert_eq!((&removed["connections"], &removed["nodes"]), (&json!(2), &json!(2)), "{removed}");
    for client in &mut clients {
        assert_eq!(client.receive(), json!({"left": ["chat"]}));
    }
    let adam = read(&all.nodes[0], "/api/v1/users/adam");
    for id in adam["connection_ids"].as_array().unwrap() {
        let target = format!("/api/v1/connections/{}/disconnect", id.as_str().unwrap());
        assert_eq!(act(&all.nodes[0], &target, &json!({}))["connections"], 1);
        assert_eq!(ask(&all.nodes[0], "POST", &target, "{}").status, 404);
    }
    let _back: Vec<_> = all.nodes.iter().map(|node| client(node, "eve", "chat")).collect();
    let ended = act(&all.nodes[1], "/api/v1/users/eve/disconnect", &json!({"come_back": false}));
    assert_eq!((&ended["connections"], &ended["nodes"]), (&json!(2), &json!(2)), "{ended}");
    assert_eq!(ask(&all.nodes[1], "POST", "/api/v1/users/eve/disconnect", "[]").status, 400);
}

#[test]
fn a_node_that_is_silent_is_named_and_not_waited_for_again() {
    let all = Nodes::start(2);
    all.let_be_heard(7);
    let node = &all.nodes[0];
    eventually("it is heard", || list(node)["nodes"].as_array().unwrap().len() == 3);
    let listed = list(node);
    assert_eq!(listed["silent"], json!([7]));
    let ghost = listed["nodes"].as_array().unwrap().iter().find(|node| node["number"] == json!(7)).unwrap();
    assert_eq!((&ghost["connections"], &ghost["version"]), (&json!(3), &json!("0.0.1")));
    assert!(ghost["other_rules"].as_array().unwrap().contains(&json!("limits")), "{ghost}");
    let began = std::time::Instant::now();
    let users = read(node, "/api/v1/users");
    assert_eq!((&users["nodes"], &users["silent"]), (&json!(2), &json!([7])));
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    let answer = ask(node, "GET", "/api/v1/users?node=7", "");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let answer = ask(node, "GET", "/api/v1/users?node=8", "");
    assert_eq!((answer.status, &answer.json()["detail"]), (404, &json!("there is no node with this number")));
}

#[test]
fn a_node_is_unready_while_redis_is_away() {
    let mut all = Nodes::start(1);
    let node = &all.nodes[0];
    assert_eq!(node.admin().get("/ready").text(), "ready\n");
    assert_eq!(metric(node, "turted_cluster_nodes"), 1);
    assert_eq!(metric(node, "turted_log_state{state=\"redis\"}"), 1);
    all.redis.kill();
    eventually("it is unready", || node.admin().get("/ready").status == 503);
    assert!(node.admin().get("/ready").text().starts_with("this node does not follow the log"));
    assert_eq!(node.admin().get("/health").status, 200);
    assert!(metric(node, "turted_cluster_reconnects_total") > 0);
    all.redis.restart();
    eventually("it is ready", || node.admin().get("/ready").status == 200);
}

#[test]
fn an_address_that_one_node_blocks_is_blocked_by_all() {
    let all = Nodes::with(2, |_, config| {
        config.push.password = Some(Secret::from("tiger"));
        config.auth.method = ClientAuth::Password(Secret::from("panther"));
        config.limits.wrong_passwords = 2;
        config.limits.wrong_idents = 2;
    });
    let body = |password: &str| {
        json!({"event": "E", "targets": {"broadcast": true}, "auth": {"password": password}}).to_string()
    };
    let status = |node: usize, password: &str| all.nodes[node].push(body(password)).status;
    assert_eq!((status(0, "tiger"), status(1, "tiger")), (200, 200));
    assert_eq!((status(0, "lion"), status(0, "lynx")), (401, 401));
    eventually("the other node blocks it", || status(1, "tiger") == 429);
    let ident = |node: usize, password: &str| {
        let mut client = v1::Client::new(&all.nodes[node]);
        let data = json!({"username": "adam", "password": password});
        client.ask(&json!({"id": 1, "do": "ident", "data": data}))
    };
    assert_eq!(ident(1, "panther")["ok"], true);
    ident(1, "lion");
    ident(1, "lynx");
    eventually("the other node blocks it", || ident(0, "panther")["ok"] != json!(true));
}

#[test]
fn those_who_watch_see_ids_that_every_node_knows() {
    let all = Nodes::start(2);
    let mut watcher = Watcher::of(all.nodes[0].admin_address(), "type=connected");
    let _client = client(&all.nodes[0], "adam", "chat");
    let id = watcher.record()["connection"].as_str().unwrap().to_owned();
    assert_eq!(id.split('-').next().unwrap(), number(&all.nodes[0]).to_string());
    assert_eq!(read(&all.nodes[1], &format!("/api/v1/connections/{id}"))["users"], json!(["adam"]));
}
