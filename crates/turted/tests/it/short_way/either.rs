//! The same requests, ordinary and odd, to two servers: to one as the first of their connections, to the other one
//! behind a request that is no push, which makes hyper serve all that come on its connection. The answers are the same,
//! and so is what is dispatched and what is counted.
//!
//! `TURTED_TEST_SEED` replays one run, `TURTED_TEST_STEPS` makes runs longer.

use std::sync::{Arc, Mutex};

use turted::config::{AllowOrigins, ChannelPattern, Config, PushKey, Scope, TrustedProxies};
use turted_core::dispatch::Dispatch;

use crate::model::variable;
use crate::support::{Http, Random, TestServer, config, eventually};

/// Requests that are under way at once.
const AT_ONCE: usize = 25;
/// What ends each connection, behind the request. It becomes a part of a body that is announced longer than it is.
const LAST: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

const LINES: [&str; 12] = [
    "POST /push/ HTTP/1.1",
    "POST /push HTTP/1.1",
    "POST /push/ HTTP/1.0",
    "POST /push?x=y HTTP/1.1",
    "POST /push/#x HTTP/1.1",
    "POST /pu%73h/ HTTP/1.1",
    "POST //push/ HTTP/1.1",
    "POST http://localhost/push/ HTTP/1.1",
    "GET /push/ HTTP/1.1",
    "OPTIONS /push/ HTTP/1.1",
    "POST /health HTTP/1.1",
    "POST /nothing HTTP/1.1",
];
const HOSTS: [&str; 8] = [
    "localhost",
    "LOCALHOST.",
    "127.0.0.1:7117",
    "[::1]:80",
    "evil.example",
    "a.example:x",
    "",
    "u@localhost",
];
const HEADERS: [&str; 34] = [
    "Accept: */*",
    "Accept: application/json",
    "accept: text/plain;q=0.5, application/json",
    "Accept: application/json;q=0",
    "Accept: application/problem+json",
    "Accept:",
    "Authorization: Bearer tiger",
    "authorization: bearer  tiger ",
    "Authorization: Bearer lion",
    "Authorization: Bearer wrong",
    "Authorization: Bearer \u{e4}",
    "Authorization: Basic dGlnZXI=",
    "Idempotency-Key: NUMBER",
    "Idempotency-Key: a b",
    "Idempotency-Key:",
    "User-Agent: curl/8.5.0",
    "Content-Type: application/json",
    "Content-Type: application/x-www-form-urlencoded",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: Keep-Alive, TE",
    "Keep-Alive: timeout=5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Content-Encoding: gzip",
    "Content-Encoding: identity",
    "Expect: 100-continue",
    "Origin: http://localhost",
    "Origin: https://evil.example",
    "Sec-Fetch-Site: cross-site",
    "X-Forwarded-For: 192.0.2.9",
    "Upgrade: websocket",
    "X: a\r\n b",
    "X y: a",
];
const BODIES: [&str; 16] = [
    r#"{"event":"a","targets":{"broadcast":true},"payload":NUMBER}"#,
    r#"{"event":"b","targets":{"users":["u",7],"channels":["orders"]},"payload":{"a":[1]}}"#,
    r#"{"event":"b","targets":{"channels":["orders"]},"password":"lion"}"#,
    r#"{"event":"c","targets":{"users":"u"},"auth":{"password":"tiger"}}"#,
    r#"{"event":"c","targets":{"users":"u"},"auth":"wrong"}"#,
    r#"[{"event":"d","targets":{"broadcast":1}},{"event":"e","targets":{"channels":["orders"]}}]"#,
    r#"[{"event":"d","targets":{"broadcast":1},"auth":"tiger"},{"event":"e","targets":{}}]"#,
    r#"{"cmd":"notifyUser","data":{"user":"u","event":"old","payload":1}}"#,
    r#"{"cmd":"nothing","data":{}}"#,
    r#"{"event":"","targets":{"broadcast":true}}"#,
    r#"{"event":"a","targets":{"broadcast":"yes"}}"#,
    "{\"event\":\"\u{e4}\",\"targets\":{\"broadcast\":true}}",
    "[]",
    "null",
    "{",
    "",
];

/// One connection: what is sent, in one piece or in two.
struct Case {
    bytes: Vec<u8>,
    cut: usize,
}

/// Requests that are mostly ordinary, with something odd here and there.
fn case(random: &mut Random, number: usize) -> Case {
    let mut pick = |odds: usize, list: &[&'static str]| -> &'static str {
        if random.chance(odds) { list[random.below(list.len())] } else { list[0] }
    };
    let line = pick(20, &LINES);
    let host = pick(40, &HOSTS);
    let body = pick(70, &BODIES).replace("NUMBER", &number.to_string());
    let mut headers = vec![format!("Host: {host}")];
    for _ in 0..random.below(4) {
        headers.push(HEADERS[random.below(HEADERS.len())].replace("NUMBER", &format!("key-{number}")));
    }
    let announced = match random.below(20) {
        0 => body.len() + 1 + random.below(3),
        1 => body.len().saturating_sub(1),
        _ => body.len(),
    };
    if !random.chance(3) {
        headers.push(format!("Content-Length: {announced}"));
    }
    if random.chance(3) {
        headers.push(format!("content-length: {}", body.len()));
    }
    for at in (1..headers.len()).rev() {
        headers.swap(at, random.below(at + 1));
    }
    let mut bytes = format!("{line}\r\n{}\r\n\r\n{body}", headers.join("\r\n")).into_bytes();
    let is_mutated = random.chance(25);
    if is_mutated {
        mutate(random, &mut bytes);
    }
    // Where a request is refused before its body is read, it depends on the time of the rest what becomes of the next.
    let is_early =
        |header: &String| ["Content-Encoding", "Origin", "Sec-"].iter().any(|name| header.starts_with(name));
    let is_read = line == LINES[0] && host == HOSTS[0] && !is_mutated && !headers.iter().any(is_early);
    if random.chance(20) {
        // The next one comes at once, and has the same key.
        bytes = bytes.repeat(2);
    }
    bytes.extend_from_slice(LAST.as_bytes());
    let cut = if is_read && random.chance(50) { random.below(bytes.len()) } else { bytes.len() };
    Case { bytes, cut }
}

/// Changes some bytes. No `#` comes in: where one stands in a request that was sent before the answer to the one
/// before, hyper cuts the target there (`http/fragment.rs`).
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    const ODD: &[u8] = b"\r\n \t:,;\0\x7F\xE4a0PZ/?%{}\"";
    for _ in 0..=random.below(2) {
        let (at, odd) = (random.below(bytes.len()), ODD[random.below(ODD.len())]);
        match random.below(3) {
            0 => bytes[at] = odd,
            1 => bytes.insert(at, odd),
            _ => {
                bytes.remove(at);
            }
        }
    }
}

/// A server, and what was dispatched on it.
struct Side {
    server: TestServer,
    heard: Arc<Mutex<Vec<String>>>,
    /// Whether a request that is no push goes before each case.
    is_behind: bool,
}

impl Side {
    fn new(change: fn(&mut Config), is_behind: bool) -> Self {
        let mut config = config();
        // Many of the requests are never complete.
        let soon = std::time::Duration::from_millis(500);
        (config.limits.request_head_wait, config.limits.request_body_wait) = (soon, soon);
        config.limits.wrong_passwords = 1_000_000;
        config.limits.push_body_bytes = 200;
        change(&mut config);
        let server = TestServer::start(config);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&heard);
        server
            .dispatcher()
            .on("*", move |dispatch: &Dispatch| own.lock().unwrap().push(format!("{dispatch:?}")));
        Self { server, heard, is_behind }
    }

    /// All answers to each of some cases.
    fn answers(&self, cases: &[Case]) -> Vec<Vec<String>> {
        let begin = |case: &Case| {
            let mut http = self.server.http();
            if self.is_behind {
                assert_eq!(http.get("/health").status, 200);
            }
            http.send(&case.bytes[..case.cut]);
            http
        };
        let mut begun: Vec<Http> = cases.iter().map(begin).collect();
        for (http, case) in begun.iter_mut().zip(cases) {
            http.send(&case.bytes[case.cut..]);
        }
        begun.iter_mut().map(|http| std::iter::from_fn(|| http.read()).map(|a| said(&a)).collect()).collect()
    }

    /// What was dispatched, in any order.
    fn dispatched(&self) -> Vec<String> {
        self.server.dispatcher().broadcast("the-end", &0).unwrap();
        let is_over = || self.heard.lock().unwrap().last().is_some_and(|last| last.contains("the-end"));
        eventually("all dispatches are heard", is_over);
        let mut heard = self.heard.lock().unwrap().clone();
        heard.sort_unstable();
        heard
    }

    /// What is counted of pushes.
    fn counted(&self) -> Vec<String> {
        let page = self.server.admin().get("/metrics");
        let is_of_pushes = |line: &&str| {
            ["turted_refusals_total", "turted_dispatches_total", "turted_push"]
                .iter()
                .any(|name| line.starts_with(name) && !line.contains("seconds"))
        };
        page.text().lines().filter(is_of_pushes).map(ToOwned::to_owned).collect()
    }
}

/// An answer without what differs from one second and one server to the next.
fn said(answer: &crate::support::Response) -> String {
    let mut body = answer.text().to_owned();
    let mut from = 0;
    while let Some(at) = body[from..].find(r#""id":""#) {
        let start = from + at + 6;
        let end = start + body[start..].find('"').unwrap();
        body.replace_range(start..end, "");
        from = start;
    }
    let varies = |line: &&str| !line.starts_with("date: ") && !line.starts_with("content-length: ");
    let head: Vec<_> = answer.head.lines().filter(varies).collect();
    format!("{} {body}", head.join("|"))
}

fn compare(change: fn(&mut Config)) {
    let steps = variable("TURTED_TEST_STEPS").unwrap_or(400);
    let seed = variable("TURTED_TEST_SEED").unwrap_or(1);
    let mut random = Random::new(seed);
    let cases: Vec<_> = (0..steps).map(|number| case(&mut random, number)).collect();
    let (short, behind) = (Side::new(change, false), Side::new(change, true));
    for cases in cases.chunks(AT_ONCE) {
        let pairs = short.answers(cases).into_iter().zip(behind.answers(cases));
        for ((short, behind), case) in pairs.zip(cases) {
            assert_eq!(
                short,
                behind,
                "seed {seed}, cut at {}: {:?}",
                case.cut,
                String::from_utf8_lossy(&case.bytes)
            );
        }
    }
    let dispatched = short.dispatched();
    assert!(dispatched.len() > steps / 40, "few were valid: {}", dispatched.len());
    assert_eq!(dispatched, behind.dispatched(), "seed {seed}");
    assert_eq!(short.counted(), behind.counted(), "seed {seed}");
}

#[test]
fn open_pushes_are_answered_alike() {
    compare(|_| {});
}

#[test]
fn pushes_with_keys_are_answered_alike() {
    compare(|config| {
        let orders = Some(vec![ChannelPattern::parse("orders").unwrap()]);
        let scope = Scope { events: None, channels: orders, users: false, broadcast: false };
        config.push.password = Some("tiger".into());
        config.push.keys = vec![PushKey { name: "shop".to_owned(), password: "lion".into(), scope }];
    });
}

#[test]
fn pushes_where_pages_may_push_are_answered_alike() {
    compare(|config| {
        config.push.allow_origins = AllowOrigins::Any;
        config.limits.idle_wait = std::time::Duration::from_millis(900);
    });
}

#[test]
fn pushes_behind_a_proxy_are_answered_alike() {
    compare(|config| {
        config.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
        config.push.allow_origins = AllowOrigins::Only(vec!["http://good.example".into()]);
        config.limits.request_headers = 4;
    });
}
