//! Who may push from a browser: pages of the own host and of the list, and while no password is needed only by a name
//! of this machine.

use std::net::SocketAddr;

use turted::config::{AllowOrigins, Config};

use super::{BROADCAST, JSON};
use crate::support::{Kind, TestServer};

const EVIL: &str = "http://evil.example";

/// The head of a push of [`BROADCAST`] with these lines, as written.
fn head(start: &str, lines: &str) -> String {
    format!("{start}\r\n{lines}Content-Length: {}\r\n\r\n{BROADCAST}", BROADCAST.len())
}

/// The status and the rule of a push of these bytes.
fn pushed(server: &TestServer, bytes: impl AsRef<[u8]>) -> (u16, String) {
    let mut http = server.http();
    http.send(bytes);
    let answer = http.read().unwrap();
    let rule = match answer.header("content-type") {
        Some("application/problem+json") => answer.json()["rule"].as_str().unwrap().to_owned(),
        _ => String::new(),
    };
    (answer.status, rule)
}

fn listing(origin: &str) -> impl FnOnce(&mut Config) {
    let origins = vec![origin.to_owned()];
    |config| config.push.allow_origins = AllowOrigins::Only(origins)
}

#[test]
fn a_push_of_a_page_of_another_origin_is_refused() {
    let server = TestServer::with(listing("https://a.example"));
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let other_port = format!("http://localhost:{}", server.address().port() + 1);
    let origins = [EVIL, "null", "", "https://a.example.evil.example", "http://a.example", &other_port];
    let mut count = 0;
    for origin in origins {
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"] {
            let headers = [("Origin", origin), ("Content-Type", kind), JSON];
            let answer = server.http().post("/push/", &headers, BROADCAST);
            assert_eq!(
                (answer.status, &answer.json()["rule"]),
                (403, &"origin-not-allowed".into()),
                "{origin}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), None);
            count += 1;
        }
    }
    assert_eq!(server.refusals("origin-not-allowed"), count);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 0, "nothing is dispatched");
}

#[test]
fn the_origin_is_looked_at_before_anything_else() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.limits.wrong_passwords = 1;
    });
    let evil = ("Origin", EVIL);
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = server.http().request(method, "/push", &[evil], b"");
        assert_eq!(answer.status, 403, "{method}");
        assert!(answer.text().contains("push.allow_origins"), "{}", answer.text());
    }
    for body in ["nonsense", BROADCAST, r#"{"event":"e","auth":"tiger"}"#, r#"{"event":"e","auth":"lion"}"#] {
        assert_eq!(server.http().post("/push/", &[evil], body).status, 403, "{body}");
    }
    let guess = [evil, ("Authorization", "Bearer lion")];
    assert_eq!(server.http().post("/push/", &guess, BROADCAST).status, 403);
    let mut unread = server.http();
    unread.send(format!(
        "POST /push/ HTTP/1.1\r\nHost: localhost\r\nOrigin: {EVIL}\r\nContent-Length: 9\r\n\r\n"
    ));
    assert_eq!(unread.read().unwrap().status, 403, "the body is not waited for");
    let right = [("Authorization", "Bearer tiger")];
    assert_eq!(server.http().post("/push/", &right, BROADCAST).status, 200, "a page cannot guess either");
}

#[test]
fn a_page_of_the_own_host_or_of_the_list_may_push() {
    let server = TestServer::with(listing("https://a.example:443"));
    let port = server.address().port();
    for (host, origin) in [
        (format!("localhost:{port}"), format!("http://localhost:{port}")),
        (format!("LOCALHOST:{port}"), format!("https://localhost:{port}")),
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")),
        ("localhost".into(), "http://localhost".into()),
        ("localhost:443".into(), "https://localhost".into()),
        (format!("localhost:{port}"), "https://a.example".into()),
        (format!("localhost:{port}"), "https://A.example:443".into()),
    ] {
        let lines = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        assert_eq!(pushed(&server, head("POST /push/ HTTP/1.1", &lines)).0, 200, "{lines}");
    }
    let own = format!("http://localhost:{port}");
    let mut http = server.http();
    http.send(format!("OPTIONS /push/ HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: {own}\r\n\r\n"));
    let asked = http.read().unwrap();
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some(&*own)));
}

#[test]
fn without_an_origin_a_push_of_another_site_is_refused() {
    let server = TestServer::new();
    for (site, status) in
        [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200), ("x", 403)]
    {
        let answer = server.http().post("/push/", &[("Sec-Fetch-Site", site)], BROADCAST);
        assert_eq!(answer.status, status, "{site}");
    }
    assert_eq!(server.push(BROADCAST).status, 200, "a backend has neither");
    let any = TestServer::with(|config| config.push.allow_origins = AllowOrigins::Any);
    for header in [("Sec-Fetch-Site", "cross-site"), ("Origin", EVIL), ("Origin", "null")] {
        assert_eq!(any.http().post("/push/", &[header], BROADCAST).status, 200, "{header:?}");
    }
}

/// Requests as written and whether their host is one of this machine.
const HOSTS: [(&str, &str, bool); 18] = [
    ("POST /push/ HTTP/1.1", "Host: localhost\r\n", true),
    ("POST /push HTTP/1.1", "Host: LOCALHOST:7117\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: localhost.:7117\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: 127.0.0.1\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: 127.1.2.3:7117\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: [::1]:7117\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: [::ffff:127.0.0.1]\r\n", true),
    ("POST /push/ HTTP/1.0", "", true),
    ("POST http://localhost:7117/push/ HTTP/1.1", "Host: localhost:7117\r\n", true),
    ("POST /push/ HTTP/1.1", "Host: evil.example:7117\r\n", false),
    ("POST /push/ HTTP/1.0", "Host: evil.example\r\n", false),
    ("POST /push/ HTTP/1.1", "Host: 127.0.0.1.evil.example\r\n", false),
    ("POST /push/ HTTP/1.1", "Host: localhost.evil.example\r\n", false),
    ("POST /push/ HTTP/1.1", "Host: 10.0.0.1:7117\r\n", false),
    ("POST /push/ HTTP/1.1", "Host: 0.0.0.0:7117\r\n", false),
    ("POST /push/ HTTP/1.1", "Host: \r\n", false),
    ("POST http://evil.example/push/ HTTP/1.1", "Host: localhost\r\n", false),
    ("POST http://localhost/push/ HTTP/1.1", "Host: evil.example\r\n", false),
];

#[test]
fn without_a_password_a_push_for_another_host_than_this_machine_is_refused() {
    for listen in ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        let server = TestServer::with(|config| config.listen = listen.parse().unwrap());
        for (start, lines, is_ours) in HOSTS {
            let expected = if is_ours { (200, "") } else { (403, "host-not-loopback") };
            let (status, rule) =
                pushed(&server, head(start, &format!("{lines}Accept: application/json\r\n")));
            assert_eq!((status, &*rule), expected, "{listen} {start} {lines}");
        }
        let others = HOSTS.iter().filter(|(.., is_ours)| !is_ours).count();
        assert_eq!(server.refusals("host-not-loopback"), others);
    }
}

#[test]
fn a_refused_host_is_told_the_key() {
    let server = TestServer::new();
    let mut http = server.http();
    http.send(head("POST /push/ HTTP/1.1", "Host: evil.example\r\n"));
    let text = http.read().unwrap().text().to_owned();
    assert!(text.contains("push.password_file"), "{text}");
    assert!(text.contains("Host: 127.0.0.1"), "{text}");
}

#[test]
fn a_page_whose_name_was_made_to_resolve_to_this_machine_cannot_push() {
    let server = TestServer::new();
    let own =
        "Host: evil.example:7117\r\nOrigin: http://evil.example:7117\r\nSec-Fetch-Site: same-origin\r\n";
    let lines = format!("{own}Accept: application/json\r\n");
    assert_eq!(pushed(&server, head("POST /push/ HTTP/1.1", &lines)), (403, "host-not-loopback".into()));
}

#[test]
fn the_host_matters_only_for_pushes_without_a_password_to_a_loopback_listener() {
    let evil = "Host: evil.example\r\n";
    let server = TestServer::new();
    for target in ["/health", "/socket.io/?EIO=4&transport=polling", "/turted/info"] {
        let mut http = server.http();
        http.send(format!("GET {target} HTTP/1.1\r\n{evil}\r\n"));
        assert_eq!(http.read().unwrap().status, 200, "{target}");
    }
    let with_password = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let authorized = format!("{evil}Authorization: Bearer tiger\r\n");
    assert_eq!(pushed(&with_password, head("POST /push/ HTTP/1.1", &authorized)).0, 200);
    let open = TestServer::with(|config| config.listen = SocketAddr::from(([0, 0, 0, 0], 0)));
    assert_eq!(
        pushed(&open, head("POST /push/ HTTP/1.1", evil)).0,
        200,
        "whoever listens for others said so"
    );
}
