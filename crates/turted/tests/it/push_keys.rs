//! Passwords with names: what each lets through, what the log says, how they change while the server runs, and whose an
//! `Idempotency-Key` is.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStderr, Command};

use rustix::process::Signal;
use serde_json::{Value, json};
use turted::config::{ChannelPattern, PushKey, Scope, Secret};

use super::support::{Child, Http, Kind, TestServer, ports};

/// 22 characters: too long to be guessed.
const STRONG: &str = "0123456789abcdefghijkl";

fn patterns(list: &[&str]) -> Option<Vec<ChannelPattern>> {
    Some(list.iter().map(|text| ChannelPattern::parse(text).unwrap()).collect())
}

fn key(name: &str, password: &str, scope: Scope) -> PushKey {
    PushKey { name: name.to_owned(), password: Secret::from(password), scope }
}

/// A server with a password for everything, and a key of a shop.
fn server() -> TestServer {
    TestServer::with(|config| {
        let shop = Scope {
            events: patterns(&["ORDER:*"]),
            channels: patterns(&["orders", "shop.*"]),
            users: false,
            broadcast: false,
        };
        config.push.password = Some("tiger".into());
        config.push.keys = vec![key("shop", "lion", shop), key("chat", STRONG, Scope::ALL)];
        config.limits.wrong_passwords = 2;
    })
}

/// The status and, if it is refused, the rule, the field and the index.
fn push(http: &mut Http, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let headers: Vec<_> = headers.iter().copied().chain([("Accept", "application/json")]).collect();
    let answer = http.post("/push/", &headers, body.to_string());
    let told = answer.json();
    (answer.status, json!([told.get("rule"), told.get("field"), told.get("index")]))
}

const ACCEPTED: u16 = 200;

#[test]
fn a_key_lets_through_what_it_is_for_and_nothing_else() {
    let server = server();
    let mut http = server.http();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for channel in ["orders", "shop.1", "chat"] {
        client.ask("JOIN", &json!({ "channel": channel }).to_string());
    }
    let order = |targets: Value| json!({"event": "ORDER:1", "targets": targets, "auth": "lion"});
    let refused = |field: &str| (403, json!(["key-not-allowed", field, null]));
    assert_eq!(push(&mut http, &[], &order(json!({"channels": ["orders", "shop.1"]}))).0, ACCEPTED);
    assert!(client.event().name == "ORDER:1");
    for (body, field) in [
        (order(json!({"channels": ["orders", "chat"]})), "/targets/channels/1"),
        (order(json!({"channels": ["orders"], "users": ["adam"]})), "/targets/users/0"),
        (order(json!({"broadcast": true})), "/targets/broadcast"),
        (json!({"event": "PING", "targets": {"channel": "orders"}, "auth": "lion"}), "/event"),
        (json!({"cmd": "notifyAll", "data": {"event": "ORDER:1"}, "password": "lion"}), "/cmd"),
    ] {
        assert_eq!(push(&mut http, &[], &body), refused(field), "{body}");
        let bearer = [("Authorization", "Bearer lion")];
        assert_eq!(push(&mut http, &bearer, &body), refused(field), "{body}");
    }
    let batch = json!([order(json!({"channels": ["orders"]})), order(json!({"channels": ["chat"]}))]);
    assert_eq!(push(&mut http, &[], &batch), (403, json!(["key-not-allowed", "/targets/channels/0", 1])));
    for all in ["tiger", STRONG] {
        let body = json!({"event": "PING", "targets": {"broadcast": true}, "auth": {"password": all}});
        assert_eq!(push(&mut http, &[], &body).0, ACCEPTED);
        assert!(client.event().name == "PING", "nothing of what was refused came before it");
    }
    assert_eq!(server.refusals("key-not-allowed"), 11);
    client.leave();
}

#[test]
fn a_batch_has_one_password() {
    let server = server();
    let mut http = server.http();
    let item = |password: &str| json!({"event": "ORDER:1", "auth": password});
    let batch = |passwords: &[&str]| Value::from_iter(passwords.iter().map(|password| item(password)));
    assert_eq!(push(&mut http, &[], &batch(&["lion", "lion", "lion"])).0, ACCEPTED);
    let mixed = (400, json!(["auth-differs", null, null]));
    assert_eq!(push(&mut http, &[], &batch(&["lion", "tiger"])), mixed);
    assert_eq!(
        push(&mut http, &[], &batch(&["lion", "wrong"])),
        (401, json!(["wrong-password", null, null]))
    );
    assert_eq!(push(&mut http, &[("Authorization", "Bearer tiger")], &batch(&["lion", "wrong"])).0, ACCEPTED);
}

#[test]
fn of_a_blocked_address_only_a_key_that_nobody_guesses_passes() {
    let server = server();
    let mut http = server.http();
    let mut status = |password: &str| {
        push(&mut http, &[("Authorization", &format!("Bearer {password}"))], &json!({"event": "ORDER:1"})).0
    };
    assert_eq!([status("wrong"), status("lion"), status("wrong")], [401, ACCEPTED, 401]);
    assert_eq!([status("tiger"), status("lion"), status("wrong"), status(STRONG)], [429, 429, 429, ACCEPTED]);
}

/// The program with a configuration file, and the lines of its log.
struct Program {
    child: Child,
    unread: Lines<BufReader<ChildStderr>>,
    lines: Vec<Value>,
}

impl Program {
    fn start(file: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config '{}'", file.display())]);
        let variables = [("TURTED_LOGLEVEL", "debug"), ("TURTED_LOG_FORMAT", "json")];
        let (child, log) = Child::start_unread_by(shell, &variables);
        Self { child, unread: BufReader::new(log).lines(), lines: Vec::new() }
    }

    /// Has it read its configuration again, and waits until it says this.
    fn reload(&mut self, says: &str) -> Value {
        self.child.signal(Signal::HUP);
        loop {
            let line = self.unread.next().expect("the program runs").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            self.lines.push(line.clone());
            if line["message"] == says {
                return line;
            }
        }
    }

    fn status(&self, password: &str, event: &str) -> u16 {
        let value = format!("Bearer {password}");
        push(&mut self.child.http(), &[("Authorization", &value)], &json!({ "event": event })).0
    }

    /// Stops it. Returns all lines of its log.
    fn stop(mut self) -> Vec<Value> {
        self.child.stop();
        let rest = self.unread.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        self.lines.extend(rest);
        self.lines
    }
}

const AGAIN: &str = "the passwords for pushes and the admin tokens were read again";

#[test]
fn keys_come_and_go_on_a_hangup_and_the_log_names_them_without_their_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let (file, password) = (directory.path().join("turted.toml"), directory.path().join("password"));
    let entry = |name: &str, rest: &str| format!("[[push.keys]]\nname = \"{name}\"\n{rest}\n");
    let first = entry("first", "password_file = \"password\"\nevents = [\"A*\"]");
    let second = entry("second", "password = \"canary2\"");
    fs::write(&password, "canary1\n").unwrap();
    fs::write(&file, &first).unwrap();
    let mut program = Program::start(&file);
    assert_eq!(program.status("canary1", "A1"), 200);
    assert_eq!(program.status("canary1", "B"), 403);

    // Both count while the backend changes over.
    fs::write(&file, format!("{first}{second}")).unwrap();
    assert_eq!(program.status("canary2", "B"), 401, "nothing changes by itself");
    assert_eq!(program.reload(AGAIN)["changed"], "push.keys");
    assert_eq!(["canary1", "canary2"].map(|password| program.status(password, "A2")), [200, 200]);
    assert_eq!(["canary1", "canary2"].map(|password| program.status(password, "B")), [403, 200]);

    // The file of a password is read again, and a list that cannot be used changes nothing.
    fs::write(&password, "canary3\n").unwrap();
    assert_eq!(program.reload(AGAIN)["changed"], "push.keys");
    assert_eq!(["canary1", "canary3"].map(|password| program.status(password, "A3")), [401, 200]);
    fs::write(&file, format!("{second}{second}")).unwrap();
    let told = program.reload("the configuration cannot be read, the old secrets stay");
    assert!(told["error"].as_str().unwrap().contains("there is another key"), "{told}");
    assert_eq!(program.status("canary3", "A4"), 200);
    fs::write(&file, &second).unwrap();
    assert_eq!(program.reload(AGAIN)["changed"], "push.keys");
    assert_eq!(["canary3", "canary2"].map(|password| program.status(password, "A5")), [401, 200]);
    assert_eq!(program.reload(AGAIN)["changed"], "");

    let lines = program.stop();
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let pushes: Vec<_> = of("push").iter().map(|line| json!([line["event"], line["key"]])).collect();
    let (first, second) = ("first", "second");
    let expected = [
        ("A1", first),
        ("A2", first),
        ("A2", second),
        ("B", second),
        ("A3", first),
        ("A4", first),
        ("A5", second),
    ];
    assert_eq!(pushes, expected.map(|(event, key)| json!([event, key])));
    let refused: Vec<_> = of("push refused").iter().map(|line| json!([line["rule"], line["key"]])).collect();
    let (scope, wrong) = (json!(["key-not-allowed", first]), json!(["wrong-password", null]));
    assert_eq!(refused, [&scope, &wrong, &scope, &wrong, &wrong].map(Clone::clone));
    assert!(!lines.iter().any(|line| line.to_string().contains("canary")), "{lines:?}");
}

/// The status of a push with this `Idempotency-Key`, and its answer.
fn push_once(http: &mut Http, password: &str, key: &str, event: &str) -> (u16, Value) {
    let bearer = format!("Bearer {password}");
    let headers = [("Authorization", &*bearer), ("Idempotency-Key", key), ("Accept", "application/json")];
    let body = json!({"event": event, "targets": {"broadcast": true}});
    let answer = http.post("/push/", &headers, body.to_string());
    (answer.status, answer.json())
}

#[test]
fn one_push_key_takes_no_idempotency_key_and_not_all_places_from_another() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.push.keys = vec![key("shop", "lion", Scope::ALL), key("news", STRONG, Scope::ALL)];
        config.limits.idempotency_keys = 8;
    });
    let mut http = server.http();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for (password, event) in [("tiger", "MAIN"), ("lion", "SHOP"), (STRONG, "NEWS")] {
        for _ in 0..2 {
            assert_eq!(push_once(&mut http, password, "order-7-paid", event).0, ACCEPTED, "{event}");
        }
        assert!(client.event().name == event, "each once");
        let (status, told) = push_once(&mut http, password, "order-7-paid", "OTHER");
        assert_eq!((status, &told["rule"]), (422, &json!("idempotency-key-reused")), "{event}");
    }
    let statuses = ["a", "b", "c", "d"].map(|key| push_once(&mut http, STRONG, key, "NEWS").0);
    assert_eq!(statuses, [ACCEPTED, ACCEPTED, ACCEPTED, 503], "half of the places");
    let statuses = ["a", "b"].map(|key| push_once(&mut http, "lion", key, "SHOP").0);
    assert_eq!(statuses, [ACCEPTED, ACCEPTED], "the others have the rest");
    client.leave();
}

#[test]
fn idempotency_keys_stay_those_of_the_name_over_new_passwords_and_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turted.toml");
    let configure = |shop: &str| {
        let keys = [("shop", shop), ("news", "bear")];
        let keys = keys
            .map(|(name, password)| format!("[[push.keys]]\nname = \"{name}\"\npassword = \"{password}\"\n"));
        fs::write(&file, format!("[log]\ndirectory = \"log\"\n{}", keys.concat())).unwrap();
    };
    configure("lion");
    let mut program = Program::start(&file);
    let once = |program: &Program, password: &str, event: &str| {
        push_once(&mut program.child.http(), password, "k", event)
    };
    let (shop, news) = (once(&program, "lion", "SHOP"), once(&program, "bear", "NEWS"));
    assert_eq!((shop.0, news.0), (ACCEPTED, ACCEPTED));
    assert!(shop != news, "two dispatches");
    configure("tiger");
    program.reload(AGAIN);
    assert_eq!(once(&program, "tiger", "SHOP"), shop, "the password is new, the name is not");
    let (status, _) = once(&program, "tiger", "OTHER");
    assert_eq!(status, 422);
    let lines = program.stop();
    let refused: Vec<_> = lines.iter().filter(|line| line["message"] == "push refused").collect();
    let [refused] = refused[..] else { panic!("{refused:?}") };
    assert_eq!((&refused["rule"], &refused["key"]), (&json!("idempotency-key-reused"), &json!("shop")));

    let program = Program::start(&file);
    assert_eq!((once(&program, "tiger", "SHOP"), once(&program, "bear", "NEWS")), (shop, news));
    program.stop();
}

#[test]
fn what_is_asked_of_a_backend_and_what_it_fails_with_is_told_without_a_secret() {
    let [closed] = ports::free();
    let url = format!("http://127.0.0.1:{closed}/may-push?key=canary");
    let child = Child::start(&[
        ("TURTED_PUSH_URL", &url),
        ("TURTED_LOGLEVEL", "trace"),
        ("TURTED_LOG_FORMAT", "json"),
    ]);
    for headers in [&[][..], &[("Authorization", "Bearer canary")]] {
        let body = json!({"event": "E", "auth": {"password": "canary"}, "payload": "canary"});
        assert_eq!(push(&mut child.http(), headers, &body), (503, json!(["push-unverified", null, null])));
    }
    let log = child.stop();
    assert!(!log.contains("canary"), "{log}");
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told =
        |message: &str| lines.iter().find(|line| line["message"] == message).cloned().unwrap_or_default();
    let first = told("no verdict about a push: it is answered 503, and no guess is counted");
    assert_eq!(first["asked"], format!("http://127.0.0.1:{closed}/may-push"), "{log}");
    assert!(first["failure"].as_str().unwrap().starts_with("cannot connect: "), "{first}");
    assert_eq!(told("no verdict about a push")["level"], "DEBUG", "{log}");
}
