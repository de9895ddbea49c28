//! Pages of browsers: which may connect and push, the files they are served, and the paths of both.

use turted::config::AllowOrigins;

use super::BROADCAST;
use crate::support::{Kind, TestServer, WebSocket};

#[test]
fn any_page_may_connect_unless_the_operator_says_otherwise() {
    let origin = ("Origin", "https://page.example");
    let polling = Kind::V4_POLLING.target("polling", "");
    let server = TestServer::new();
    let response = server.http().request("GET", &polling, &[origin], b"");
    assert_eq!(response.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(response.header("vary"), Some("Origin"));
    let plain = server.http().get(&polling);
    assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
    let refused = server.http().request("GET", "/socket.io/?EIO=4&transport=x", &[origin], b"");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://page.example"), "errors too");
    let headers = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let preflight = server.http().request("OPTIONS", &polling, &headers, b"");
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-headers")),
        (200, Some("content-type"))
    );
    assert!(
        WebSocket::connect(server.address(), &Kind::V4_WEBSOCKET.target("websocket", ""), &[origin]).is_ok()
    );
}

#[test]
fn only_pages_of_the_list_may_connect_also_by_websocket() {
    let server = TestServer::with(|config| {
        config.allow_origins = AllowOrigins::Only(vec!["https://good.example".into()]);
    });
    for kind in Kind::PLAIN {
        for (origin, good) in [
            ("https://good.example", true),
            ("https://GOOD.example", true),
            ("https://evil.example", false),
            ("https://good.example.evil.example", false),
            ("http://good.example", false),
            ("https://good.example:8443", false),
            ("null", false),
            ("", false),
        ] {
            let headers = [("Origin", origin)];
            let polled = server.http().request("GET", &kind.target("polling", ""), &headers, b"");
            assert_eq!(polled.status, if good { 200 } else { 403 }, "{origin}");
            assert_eq!(
                polled.header("access-control-allow-origin"),
                Some(origin),
                "a refused page reads why"
            );
            let credentials = polled.header("access-control-allow-credentials");
            assert_eq!((credentials.is_some(), polled.header("vary")), (good, Some("Origin")), "{origin}");
            let socket = WebSocket::connect(server.address(), &kind.target("websocket", ""), &headers);
            assert_eq!(socket.map_err(|refused| refused.status).err(), (!good).then_some(403), "{origin}");
            let preflight = server.http().request("OPTIONS", &kind.target("polling", ""), &headers, b"");
            assert_eq!(preflight.header("access-control-allow-origin"), good.then_some(origin), "{origin}");
        }
        let client = server.client(kind);
        let upgrade = WebSocket::connect(
            server.address(),
            &kind.target("websocket", &client.sid),
            &[("Origin", "https://evil.example")],
        );
        assert_eq!(upgrade.unwrap_err().status, 403);
    }
}

#[test]
fn a_page_of_the_own_host_may_connect_and_another_only_if_it_says_where_it_is_from() {
    let server = TestServer::with(|config| config.allow_origins = AllowOrigins::Only(Vec::new()));
    // What the tests say their host is.
    let own = [("Origin", "http://localhost")];
    let session = "/turted/000/page";
    let gets = [Kind::V4_POLLING.target("polling", ""), "/turted/info".into()];
    for target in &gets {
        let status = |headers: &[(&str, &str)]| server.http().request("GET", target, headers, b"").status;
        assert_eq!(status(&own), 200, "{target}");
        assert_eq!(status(&[]), 200, "{target}");
        assert_eq!(status(&[("Sec-Fetch-Site", "same-origin")]), 200, "{target}");
        assert_eq!(status(&[("Sec-Fetch-Site", "cross-site")]), 403, "{target}: a script of another page");
        assert_eq!(status(&[("Origin", "http://localhost:7118")]), 403, "{target}");
    }
    let opened = server.http().post(&format!("{session}/xhr"), &own, "");
    assert_eq!(
        (opened.text(), opened.header("access-control-allow-origin")),
        ("o\n", Some("http://localhost"))
    );
    let sent = server.http().post(&format!("{session}/xhr_send"), &own, "[\"[\\\"PING\\\"]\"]");
    assert_eq!(sent.status, 204, "the iframe of SockJS sends from here");
    for target in ["/ws", "/turted/websocket", &Kind::V4_WEBSOCKET.target("websocket", "")] {
        assert!(WebSocket::connect(server.address(), target, &own).is_ok(), "{target}");
        let other = [("Origin", "http://localhost:7118")];
        assert_eq!(WebSocket::connect(server.address(), target, &other).unwrap_err().status, 403, "{target}");
    }
    let status = |headers: &[(&str, &str)]| {
        let mut http = server.http();
        http.send_request("GET", "/sse?channel=c", headers, b"");
        http.read_head().unwrap().status
    };
    assert_eq!((status(&own), status(&[("Sec-Fetch-Site", "cross-site")])), (200, 403));
}

#[test]
fn pages_may_push_only_if_the_operator_says_so() {
    let origin = ("Origin", "https://page.example");
    let server = TestServer::with(|config| {
        config.push.allow_origins = AllowOrigins::Only(vec!["https://page.example".into()]);
    });
    let mut http = server.http();
    let pushed = http.post("/push/", &[origin], BROADCAST);
    assert_eq!(pushed.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(
        http.request("OPTIONS", "/push/", &[origin], b"").header("access-control-allow-origin"),
        Some("https://page.example")
    );
    let asked = http.request("OPTIONS", "/push", &[origin], b"");
    assert_eq!((asked.status, asked.header("access-control-allow-headers")), (200, Some("*")), "as reactphp");
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    let named = [origin, ("Access-Control-Request-Headers", "authorization,content-type")];
    let asked = http.request("OPTIONS", "/push", &named, b"");
    assert_eq!(asked.header("access-control-allow-headers"), Some("authorization,content-type"));
    let other = ("Origin", "https://evil.example");
    let refused = http.post("/push/", &[other], BROADCAST);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    assert_eq!(http.request("OPTIONS", "/push/", &[other], b"").status, 403);
}

#[test]
fn the_browser_client_is_served_from_the_directory_of_the_operator() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("socket.io.js"), "client").unwrap();
    std::fs::write(directory.path().join("socket.io.js.map"), "{}").unwrap();
    std::fs::write(directory.path().join(".secret.js"), "secret").unwrap();
    std::fs::create_dir(directory.path().join("inner")).unwrap();
    std::fs::write(directory.path().join("inner/a.js"), "secret").unwrap();
    std::fs::write(directory.path().parent().unwrap().join("turted-outside.js"), "secret").unwrap();
    let server = TestServer::with(|config| config.assets_dir = Some(directory.path().into()));
    let mut http = server.http();
    let script = http.get("/socket.io/socket.io.js");
    assert_eq!((script.status, script.text()), (200, "client"));
    assert_eq!(script.header("content-type"), Some("application/javascript; charset=utf-8"));
    assert_eq!(http.get("/socket.io/socket.io.js?x=1").text(), "client");
    assert_eq!(http.get("/socket.io/socket.io.js.map").header("content-type"), Some("application/json"));
    assert_eq!(http.get("/socket.io/missing.js").status, 404);
    for path in [
        "../turted-outside.js",
        "%2e%2e/turted-outside.js",
        "..%2fturted-outside.js",
        "..\\turted-outside.js",
        ".secret.js",
        "inner/a.js",
        "inner%2fa.js",
        "/etc/passwd",
        "%00.js",
        "..",
        "inner/../socket.io.js",
        "inner.js/",
    ] {
        let response = http.get(&format!("/socket.io/{path}"));
        assert!((400..500).contains(&response.status), "{path}: {}", response.status);
        assert!(!response.text().contains("secret"), "{path}");
    }
    std::fs::remove_file(directory.path().parent().unwrap().join("turted-outside.js")).unwrap();
    let without = TestServer::new().http().get("/socket.io/socket.io.js");
    assert_eq!(without.status, 404);
    assert!(without.text().contains("assets_dir"), "{}", without.text());
}

#[test]
fn the_client_library_is_served_to_pages_of_every_origin() {
    let server = TestServer::with(|config| config.allow_origins = AllowOrigins::Only(Vec::new()));
    let mut http = server.http();
    let origin = ("Origin", "https://page.example");
    let script = http.request("GET", "/turted.js", &[origin, ("Sec-Fetch-Site", "cross-site")], b"");
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(script.body, std::fs::read("../../clients/js/dist/turted.js").unwrap());
    let etag = script.header("etag").expect("a tag").to_owned();
    let again = http.request("GET", "/turted.js", &[("If-None-Match", &etag)], b"");
    assert_eq!((again.status, again.text()), (304, ""));
    http.send_request("HEAD", "/turted.js", &[], b"");
    let head = http.read_head().unwrap();
    assert_eq!(head.header("content-length"), Some(&*script.body.len().to_string()));
    for answer in [script, again, head] {
        let allowed = (
            answer.header("access-control-allow-origin"),
            answer.header("cross-origin-resource-policy"),
            answer.header("cache-control"),
            answer.header("etag"),
        );
        assert_eq!(allowed, (Some("*"), Some("cross-origin"), Some("no-cache"), Some(&*etag)));
    }
    assert_eq!(http.post("/turted.js", &[], "").header("allow"), Some("GET, HEAD"));
    assert_eq!(http.get("/turted/").status, 200, "SockJS is beside it");
}

#[test]
fn paths_may_be_configured() {
    let server = TestServer::with(|config| {
        config.socketio.path = "/realtime/".into();
        config.push.path = "/internal/push".into();
    });
    let mut http = server.http();
    assert_eq!(http.get("/realtime/?EIO=4&transport=polling").status, 200);
    assert_eq!(http.get("/realtime?EIO=4&transport=polling").status, 200);
    assert_eq!(http.post("/internal/push/", &[], BROADCAST).status, 200);
    assert_eq!(http.get("/socket.io/?EIO=4&transport=polling").status, 404);
    assert_eq!(http.post("/push/", &[], BROADCAST).status, 404);
}
