//! What is there beside sessions: the greeting, `/info`, the page for iframes, and the headers of
//! all answers.

use super::{Chunks, Way, new_session};
use crate::support::{Response, TestServer, WebSocket};

const NOT_CACHED: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

fn get(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> Response {
    server.http().request("GET", target, headers, b"")
}

#[test]
fn the_greeting_is_the_protocols_and_has_no_cookie() {
    let server = TestServer::with(|config| config.sockjs.cookie = true);
    for target in ["/turted", "/turted/", "/turted?x=1"] {
        let answer = get(&server, target, &[]);
        assert_eq!((answer.status, answer.text()), (200, "Welcome to SockJS!\n"), "{target}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let mut old = server.http();
    old.send("GET /turted HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n");
    let answer = old.read().unwrap();
    assert_eq!((answer.text(), answer.header("transfer-encoding")), ("Welcome to SockJS!\n", None));
}

#[test]
fn paths_that_mean_nothing_are_404() {
    let server = TestServer::new();
    for target in ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/a/b", "/info/x", "/IFRAME.HTML"] {
        assert_eq!(get(&server, &format!("/turted{target}"), &[]).status, 404, "{target}");
    }
    for target in ["/iframe.htm", "/iframe", "/iframe.HTML", "/iframe.xml", "/iframe-/.html"] {
        assert_eq!(get(&server, &format!("/turted{target}"), &[]).status, 404, "{target}");
    }
    for target in ["//", "/a./a", "/a/a.", "/./.", "/", "///", "/a", "/a/a/a"] {
        for method in ["GET", "POST"] {
            let answer = server.http().request(method, &format!("/turted{target}/xhr"), &[], b"");
            assert_eq!(answer.status, 404, "{method} {target}");
        }
    }
}

#[test]
fn the_page_for_iframes_is_kept_by_caches_and_the_same_for_every_version() {
    let server = TestServer::with(|config| {
        config.sockjs.sockjs_url = Some("https://files.example/s.js?a=1&b=\"2\"".into());
        config.sockjs.cookie = true;
    });
    let page = get(&server, "/turted/iframe.html", &[]);
    assert_eq!(page.header("content-type"), Some("text/html; charset=UTF-8"));
    assert_eq!(page.header("cache-control"), Some("public, max-age=31536000"));
    assert!(page.header("expires").unwrap().ends_with(" GMT"));
    assert_eq!((page.header("last-modified"), page.header("set-cookie")), (None, None));
    assert!(page.text().contains(r#"src="https://files.example/s.js?a=1&amp;b=&quot;2&quot;""#));
    for name in ["iframe-a.html", "iframe-.html", "iframe-0.1.2abc-dirty.2144.html", "iframe-1.6.1.html?t=1"]
    {
        let other = get(&server, &format!("/turted/{name}"), &[]);
        assert_eq!((other.status, other.text()), (200, page.text()), "{name}");
        assert_eq!(other.header("etag"), page.header("etag"));
    }
    let etag = page.header("etag").unwrap();
    for tags in [etag.to_owned(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let known = get(&server, "/turted/iframe.html", &[("If-None-Match", &tags)]);
        assert_eq!((known.status, known.text(), known.header("content-type")), (304, "", None), "{tags}");
    }
    assert_eq!(get(&server, "/turted/iframe.html", &[("If-None-Match", "\"x\"")]).status, 200);
}

#[test]
fn the_client_file_comes_from_the_directory_of_assets() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("sockjs.min.js"), "SockJS = 1").unwrap();
    let path = directory.path().to_owned();
    let server = TestServer::with(|config| config.assets_dir = Some(path));
    assert!(get(&server, "/turted/iframe.html", &[]).text().contains(r#"src="/turted/sockjs.min.js""#));
    let file = get(&server, "/turted/sockjs.min.js", &[]);
    assert_eq!((file.status, file.text()), (200, "SockJS = 1"));
    let none = get(&TestServer::new(), "/turted/sockjs.min.js", &[]);
    assert_eq!(none.status, 404, "{}", none.text());
    assert!(none.text().contains("assets_dir"), "{}", none.text());
}

#[test]
fn info_says_what_the_service_can_and_draws_a_number_each_time() {
    let server = TestServer::with(|config| config.sockjs.cookie = true);
    let answers = [(); 3].map(|()| get(&server, "/turted/info", &[]));
    for answer in &answers {
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
        assert_eq!(answer.header("cache-control"), Some(NOT_CACHED));
        assert_eq!((answer.header("expires"), answer.header("set-cookie")), (None, None));
        let info = answer.json();
        assert_eq!((&info["websocket"], &info["cookie_needed"]), (&true.into(), &true.into()));
        assert_eq!(info["origins"], serde_json::json!(["*:*"]));
        assert!(info["entropy"].as_u64().unwrap() <= u64::from(u32::MAX));
    }
    assert!(answers.windows(2).any(|pair| pair[0].json()["entropy"] != pair[1].json()["entropy"]));
}

#[test]
fn a_service_without_websockets_says_so_and_has_none() {
    let server = TestServer::with(|config| config.sockjs.websocket = false);
    assert_eq!(get(&server, "/turted/info", &[]).json()["websocket"], false);
    for target in ["/turted/websocket", "/turted/0/0/websocket"] {
        assert_eq!(WebSocket::connect(server.address(), target, &[]).unwrap_err().status, 404);
    }
}

#[test]
fn pages_of_any_origin_may_ask_and_are_told_for_a_year() {
    let server = TestServer::new();
    let session = new_session();
    let targets = [
        ("/turted/info".to_owned(), "OPTIONS, GET"),
        (format!("{session}/xhr"), "OPTIONS, POST"),
        (format!("{session}/xhr_send"), "OPTIONS, POST"),
        (format!("{session}/xhr_streaming"), "OPTIONS, POST"),
    ];
    for (target, methods) in targets {
        for origin in [None, Some("http://test"), Some("null")] {
            let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
            let answer = server.http().request("OPTIONS", &target, &headers, b"");
            assert_eq!((answer.status, answer.text()), (204, ""), "{target}");
            assert_eq!(answer.header("access-control-allow-origin"), origin.or(Some("*")));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
            assert_eq!(answer.header("access-control-max-age"), Some("31536000"));
            assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000"));
            assert!(answer.header("expires").is_some());
        }
    }
}

#[test]
fn what_a_page_asks_for_in_its_headers_is_allowed_and_nothing_else() {
    let server = TestServer::new();
    for (asked, allowed) in [(Some("a, b, c"), Some("a, b, c")), (Some(""), None), (None, None)] {
        let headers: Vec<_> =
            asked.map(|asked| ("Access-Control-Request-Headers", asked)).into_iter().collect();
        let answer = server.http().post(&format!("{}/xhr", new_session()), &headers, "");
        assert_eq!((answer.text(), answer.header("access-control-allow-headers")), ("o\n", allowed));
    }
}

#[test]
fn pages_of_other_origins_are_refused_if_the_operator_says_so() {
    let server = TestServer::with(|config| {
        config.allow_origins = turted::config::AllowOrigins::Only(vec!["https://good.example".into()]);
    });
    let session = new_session();
    for (origin, status) in [("https://good.example", 200), ("https://bad.example", 403), ("null", 403)] {
        let answer = get(&server, "/turted/info", &[("Origin", origin)]);
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "a refused page reads why");
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(
            (credentials.is_some(), answer.header("vary")),
            (status == 200, Some("Origin")),
            "{origin}"
        );
    }
    let bad = [("Origin", "https://bad.example")];
    for target in ["/turted/websocket".to_owned(), format!("{session}/websocket")] {
        assert_eq!(WebSocket::connect(server.address(), &target, &bad).unwrap_err().status, 403);
    }
    assert_eq!(server.http().post(&format!("{session}/xhr"), &bad, "").status, 403);
    assert_eq!(server.http().post(&format!("{session}/xhr_streaming"), &bad, "").status, 403);
}

#[test]
fn a_method_that_a_route_does_not_have_is_405_with_those_it_has() {
    let server = TestServer::new();
    let cases = [
        ("POST", "", "GET"),
        ("PUT", "/info", "OPTIONS, GET"),
        ("POST", "/iframe.html", "GET"),
        ("POST", "/websocket", "GET"),
        ("POST", "/a/b/websocket", "GET"),
        ("GET", "/a/b/xhr", "OPTIONS, POST"),
        ("DELETE", "/a/b/xhr_streaming", "OPTIONS, POST"),
        ("GET", "/a/b/xhr_send", "OPTIONS, POST"),
        ("POST", "/a/b/eventsource", "GET"),
        ("POST", "/a/b/htmlfile?c=x", "GET"),
        ("POST", "/a/b/jsonp?c=x", "GET"),
        ("GET", "/a/b/jsonp_send", "POST"),
    ];
    for (method, target, allow) in cases {
        let answer = server.http().request(method, &format!("/turted{target}"), &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {target}");
        assert_eq!((answer.text(), answer.header("content-type")), ("", None));
    }
}

#[test]
fn the_cookie_of_a_balancer_is_set_and_echoed_on_every_transport() {
    let server = TestServer::with(|config| config.sockjs.cookie = true);
    let other = TestServer::new();
    for (sent, value) in [("", "dummy"), ("a=b; JSESSIONID=abcdef; c=d", "abcdef")] {
        let headers: &[(&str, &str)] = if sent.is_empty() { &[] } else { &[("Cookie", sent)] };
        for way in Way::BY_REQUESTS {
            for (server, is_set) in [(&server, true), (&other, false)] {
                let (method, target) = way.receiver(&new_session());
                let mut http = server.http();
                http.send_request(method, &target, headers, b"");
                let head = http.read_head().unwrap();
                let expected = format!("JSESSIONID={value}; path=/");
                assert_eq!(head.header("set-cookie"), is_set.then_some(&*expected), "{way:?}");
            }
        }
    }
    let session = new_session();
    server.http().get(&format!("{session}/jsonp?c=x"));
    let sent = server.http().post(&format!("{session}/jsonp_send"), &[], r#"["x"]"#);
    assert_eq!(sent.header("set-cookie"), Some("JSESSIONID=dummy; path=/"));
}

#[test]
fn every_answer_that_receives_is_not_cached_and_has_the_type_of_its_transport() {
    let server = TestServer::new();
    let script = "application/javascript; charset=UTF-8";
    let kinds = [
        (Way::Xhr, script),
        (Way::XhrStreaming, script),
        (Way::EventSource, "text/event-stream"),
        (Way::HtmlFile, "text/html; charset=UTF-8"),
        (Way::Jsonp, script),
    ];
    for (way, kind) in kinds {
        let (method, target) = way.receiver(&new_session());
        let head = Chunks::open(&server, (method, &target)).head;
        assert_eq!((head.status, head.header("content-type")), (200, Some(kind)), "{way:?}");
        assert_eq!(head.header("cache-control"), Some(NOT_CACHED));
        assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
        assert_eq!((head.header("expires"), head.header("last-modified")), (None, None));
        assert_eq!(head.header("access-control-allow-origin"), Some("*"));
        assert_eq!(head.header("access-control-allow-credentials"), Some("true"));
    }
}
