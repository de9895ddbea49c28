//! The demo: where it is, what leads to it, and that it opens nothing.

use serde_json::json;
use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
use turted::config::{ClientAuth, Config};
use turted::server::Server;

use super::BROADCAST;
use crate::support::{Http, Response, TestServer, WebSocket, config};

const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const FILES: [(&str, &str); 4] = [
    ("/demo", "text/html; charset=utf-8"),
    ("/demo/", "text/html; charset=utf-8"),
    ("/demo/demo.css", "text/css; charset=utf-8"),
    ("/demo/demo.js", "text/javascript; charset=utf-8"),
];
/// More than that is no small page any more.
const BYTES_MAX: usize = 21_000;

/// A server with credentials for everything, which shows the demo nevertheless.
fn guarded() -> TestServer {
    TestServer::with(|config| {
        config.demo = Some(true);
        config.auth.method = ClientAuth::Password("lion".into());
        config.push.password = Some("tiger".into());
    })
}

/// Asks for a page on behalf of this host.
fn get_for(host: &str, http: &mut Http, path: &str) -> Response {
    http.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n"));
    http.read().expect("an answer")
}

#[test]
fn a_server_that_is_open_to_this_machine_alone_has_the_demo() {
    let server = TestServer::new();
    let mut http = server.http();
    let mut bytes = 0;
    for (path, content_type) in FILES {
        let file = http.get(path);
        assert_eq!((file.status, file.header("content-type")), (200, Some(content_type)), "{path}");
        let tag = [("If-None-Match", file.header("etag").expect("a tag"))];
        assert_eq!(http.request("GET", path, &tag, b"").status, 304, "{path}");
        bytes += if path == "/demo/" { 0 } else { file.body.len() };
    }
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
    for path in ["/demo/other.js", "/demo/demo.html", "/demo//demo.css", "/demox", "/demo/.."] {
        assert_eq!(http.get(path).status, 404, "{path}");
    }
}

#[test]
fn browsers_may_do_nothing_with_the_demo_but_show_it() {
    let server = TestServer::new();
    let mut http = server.http();
    for (path, _) in FILES {
        let file = http.get(path);
        let policy = file.header("content-security-policy").expect("a policy").to_owned();
        for directive in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.split("; ").any(|part| part == directive), "{directive} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(file.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(file.header("access-control-allow-origin"), None, "{path}");
    }
    let html = http.get("/demo").text().to_owned();
    for forbidden in ["<style", " style=", " onclick=", " onload=", "javascript:", "<script>"] {
        assert!(!html.contains(forbidden), "{forbidden}: the policy forbids it");
    }
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing of another host");
}

#[test]
fn the_page_knows_the_paths_of_its_server_and_what_is_asked_for() {
    let server = TestServer::with(|config| {
        config.demo = Some(true);
        config.websocket.path = "/live/ws".into();
        config.sockjs.path = "/live/sockjs".into();
        config.push.path = "/internal/push".into();
        config.push.password = Some("tiger".into());
    });
    let html = server.http().get("/demo").text().to_owned();
    for expected in [
        r#"data-websocket="/live/ws""#,
        r#"data-sockjs="/live/sockjs""#,
        r#"data-push="/internal/push/""#,
        r#"data-ident-needs="nothing""#,
        r#"data-push-needs="password""#,
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!html.contains("tiger"));
}

#[test]
fn a_browser_that_opens_the_server_is_led_to_the_demo_and_nothing_else_is() {
    let server = TestServer::new();
    let mut http = server.http();
    let led = http.request("GET", "/", &[HTML], b"");
    assert_eq!(
        (led.status, led.header("location"), led.header("vary")),
        (303, Some("/demo"), Some("accept"))
    );
    for accept in ["*/*", "text/*", "application/json", "text/event-stream", "text/html;q=0"] {
        let other = http.request("GET", "/", &[("Accept", accept)], b"");
        assert_eq!((other.status, other.text()), (404, "nothing is served under this path"), "{accept}");
    }
    assert_eq!(http.get("/").status, 404);
    assert_eq!(http.post("/", &[HTML], "").status, 404);
    let off = TestServer::with(|config| config.demo = Some(false));
    assert_eq!(off.http().request("GET", "/", &[HTML], b"").text(), "nothing is served under this path");
}

#[test]
fn without_the_demo_its_path_says_how_to_turn_it_on() {
    let changes: [fn(&mut Config); 3] = [
        |config| config.demo = Some(false),
        |config| config.push.password = Some("tiger".into()),
        |config| config.auth.method = ClientAuth::Password("lion".into()),
    ];
    for change in changes {
        let server = TestServer::with(change);
        for (path, _) in FILES {
            let answer = server.http().get(path);
            assert_eq!(answer.status, 404, "{path}");
            assert!(
                answer.text().contains("demo = true (TURTED_DEMO, --demo) turns it on"),
                "{}",
                answer.text()
            );
        }
    }
}

#[test]
fn an_open_server_shows_the_demo_only_to_those_who_reach_it_as_this_machine() {
    let server = TestServer::new();
    let everyone = TestServer::with(|config| config.demo = Some(true));
    for (host, status) in
        [("localhost:7117", 200), ("127.0.0.1", 200), ("[::1]:7117", 200), ("shop.example", 404)]
    {
        assert_eq!(get_for(host, &mut server.http(), "/demo").status, status, "{host}");
        assert_eq!(
            get_for(host, &mut server.http(), "/").status,
            if status == 200 { 303 } else { 404 },
            "{host}"
        );
        assert_eq!(get_for(host, &mut everyone.http(), "/demo").status, 200, "{host}");
    }
}

#[test]
fn a_program_that_verifies_idents_itself_turns_the_demo_on_if_it_wants_it() {
    let server = |demo| {
        let builder = Server::builder(Config { demo, ..config() })
            .authenticator(|_: IdentRequest| async { Err::<Verified, _>(IdentRefusal::UserMissing) });
        TestServer::run(builder.bind().unwrap())
    };
    assert_eq!(server(None).http().get("/demo").status, 404);
    let page = server(Some(true)).http().get("/demo");
    assert!(page.text().contains(r#"data-ident-needs="data""#), "{}", page.text());
}

#[test]
fn event_streams_keep_the_paths_that_are_left_to_them() {
    let server = TestServer::with(|config| config.sse.reactphp_path = Some(String::new()));
    let mut http = server.http();
    assert_eq!(http.get("/demo").header("content-type"), Some("text/html; charset=utf-8"));
    http.send_request("GET", "/", &[("Accept", "text/event-stream")], b"");
    assert_eq!(http.read_head().unwrap().header("content-type"), Some("text/event-stream"));
    let taken = TestServer::with(|config| config.websocket.path = "/demo".into());
    assert_eq!(
        WebSocket::connect(taken.address(), "/demo", &[]).map(drop).map_err(|refused| refused.status),
        Ok(())
    );
    assert_eq!(taken.http().get("/demo").status, 426);
}

#[test]
fn the_demo_opens_nothing_to_pages_of_other_origins() {
    for server in [TestServer::new(), TestServer::with(|config| config.demo = Some(true)), guarded()] {
        for origin in ["https://evil.example", "null"] {
            let refused = server.http().post("/push/", &[("Origin", origin)], BROADCAST);
            assert_eq!(
                (refused.status, refused.header("access-control-allow-origin")),
                (403, None),
                "{origin}"
            );
        }
        let rebound = [("Sec-Fetch-Site", "cross-site")];
        assert_eq!(server.http().post("/push/", &rebound, BROADCAST).status, 403);
    }
}

#[test]
fn a_server_with_credentials_asks_for_them_although_it_shows_the_demo() {
    let server = guarded();
    let mut http = server.http();
    assert_eq!(http.get("/demo").status, 200);
    let own = ("Origin", "http://localhost");
    assert_eq!(http.post("/push/", &[own], BROADCAST).status, 401);
    assert_eq!(http.post("/push/", &[own, ("Authorization", "Bearer tiger")], BROADCAST).status, 200);
    let mut socket = WebSocket::connect(server.address(), "/ws", &[own]).unwrap();
    let _welcome = socket.text();
    socket.send_text(json!({"do": "ident", "id": 1, "data": {"username": "adam"}}).to_string());
    let reply: serde_json::Value = serde_json::from_str(&socket.text().unwrap()).unwrap();
    assert_eq!(reply["ok"], false, "{reply}");
}
