//! What stands beside an answer, so that nothing on the way holds or hides it: `Cache-Control`, CORS, CORP.

use std::fs;

use serde_json::Value;

use super::{get, header, open_v3};
use crate::support::{EventSource, Http, TestServer};

/// Asks for a response that streams, and gives its head.
fn head(server: &TestServer, method: &str, target: &str) -> Vec<Option<String>> {
    let mut http = server.http();
    http.send_request(method, target, &[], b"");
    let head = http.read_head().unwrap();
    assert_eq!(head.status, 200, "{target}");
    ["cache-control", "cross-origin-resource-policy"].map(|name| head.header(name).map(str::to_owned)).into()
}

#[test]
fn no_answer_that_streams_may_be_transformed_on_the_way() {
    let server = TestServer::with(|config| config.sse.reactphp_path = Some("/events".into()));
    for (method, target) in [
        ("GET", "/sse?channel=c"),
        ("GET", "/events/news"),
        ("GET", "/turted/000/a1/eventsource"),
        ("GET", "/turted/000/a2/htmlfile?c=callback"),
        ("POST", "/turted/000/a3/xhr_streaming"),
        ("POST", "/turted/000/a4/xhr"),
        ("GET", "/turted/000/a5/jsonp?c=callback"),
    ] {
        let cached = head(&server, method, target)[0].clone().unwrap_or_default();
        assert!(cached.contains("no-transform"), "{target}: {cached}");
        assert!(cached.contains("no-store"), "{target}: {cached}");
    }
}

#[test]
fn what_pages_of_other_origins_load_they_may_load_and_files_they_may_read() {
    let assets = std::env::temp_dir().join(format!("turted-clients-{}", std::process::id()));
    fs::create_dir_all(&assets).unwrap();
    for name in ["socket.io.js", "socket.io.esm.min.js", "socket.io.js.map", "sockjs.min.js"] {
        fs::write(assets.join(name), "1").unwrap();
    }
    let directory = assets.clone();
    let server = TestServer::with(move |config| config.assets_dir = Some(directory));
    for target in [
        "/socket.io/socket.io.js",
        "/socket.io/socket.io.esm.min.js",
        "/socket.io/socket.io.js.map",
        "/socket.io/missing.js",
        "/turted/sockjs.min.js",
        "/turted/iframe.html",
        "/turted/iframe-1.6.1.html",
    ] {
        let answer = get(&server, target);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"), "{target}");
    }
    for version in [3, 4] {
        let target = format!("/socket.io/?EIO={version}&transport=polling&j=0");
        let policy = header(&server, &target, "cross-origin-resource-policy");
        assert_eq!(policy.as_deref(), Some("cross-origin"), "{target}");
        let target = format!("/socket.io/?EIO={version}&transport=polling");
        assert_eq!(header(&server, &target, "cross-origin-resource-policy"), None, "{target}");
    }
    let mut http = server.http();
    let sid = open_v3(&mut http, "&j=0");
    server.dispatcher().broadcast("E", &1).unwrap();
    let answer = http.get(&format!("/socket.io/?EIO=3&transport=polling&j=0&sid={sid}"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    for target in ["/turted/000/b1/jsonp?c=callback", "/turted/000/b2/htmlfile?c=callback"] {
        assert_eq!(head(&server, "GET", target)[1].as_deref(), Some("cross-origin"), "{target}");
    }
    assert_eq!(head(&server, "GET", "/sse?channel=c")[1], None, "a stream is read by CORS alone");
    fs::remove_dir_all(assets).unwrap();
}

/// The answer to a push in JSON.
fn problem(http: &mut Http, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let headers: Vec<_> = headers.iter().copied().chain([("Accept", "application/json")]).collect();
    let answer = http.post("/push/", &headers, body);
    (answer.status, answer.json())
}

#[test]
fn a_push_that_is_no_json_hears_where_in_json_and_the_old_words_in_text() {
    let server = TestServer::new();
    let mut http = server.http();
    for (body, fault) in [
        (&b"{\"event\":\"E\",}"[..], "line 1, column 14: key must be a string"),
        (b"{\n\"event\": E}", "line 2, column 10: expected value"),
        (b"[{\"event\":\"E\"},\n{\"event\":\"E\"", "line 2, column 12: EOF while parsing an object"),
        (b"event=E", "line 1, column 1: expected value"),
        (b"", "the body is empty: expected an object or an array"),
        (b"null", "line 1, column 1: expected an object or an array"),
        (
            b"\xEF\xBB\xBF{\"event\":\"E\"}",
            "line 1, column 1: a byte order mark, with which JSON does not begin (RFC 8259 8.1)",
        ),
        (b"\xFF\xFE{\0}\0", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
        (b"{\0}\0", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
        (b"\x1F\x8B\x08\0\0\0", "the body is compressed with gzip: send it as it is"),
        (b"{\"event\":\"\xE9\"}", "line 1, column 11: a byte that is no UTF-8 (RFC 8259 8.1)"),
    ] {
        let shown = String::from_utf8_lossy(body);
        let plain = http.post("/push/", &[], body);
        assert_eq!((plain.status, plain.text()), (400, "Data was not json"), "{shown}");
        assert_eq!(plain.header("content-type"), None);
        let (status, told) = problem(&mut http, &[], body);
        assert_eq!((status, &told["rule"]), (400, &"not-json".into()), "{shown}");
        assert_eq!(told["detail"], format!("Data was not json: {fault}"), "{shown}");
    }
}

#[test]
fn a_push_whose_body_is_encoded_is_refused_as_such() {
    let server = TestServer::new();
    let push = br#"{"event":"E","targets":{"broadcast":true}}"#;
    for coding in ["gzip", "br", "identity, gzip", "GZIP", "x"] {
        let (status, told) = problem(&mut server.http(), &[("Content-Encoding", coding)], push);
        assert_eq!((status, &told["rule"]), (415, &"body-encoded".into()), "{coding}");
        let plain = server.http().post("/push", &[("Content-Encoding", coding)], push);
        assert_eq!((plain.status, plain.header("accept-encoding")), (415, Some("identity")), "{coding}");
    }
    for coding in ["identity", "Identity", ""] {
        assert_eq!(
            server.http().post("/push", &[("Content-Encoding", coding)], push).text(),
            "OK",
            "{coding}"
        );
    }
}

#[test]
fn a_number_is_a_list_of_one_name() {
    let server = TestServer::new();
    let mut source = EventSource::connect(server.address(), "/sse?channel=7", &[]).unwrap();
    for (targets, is_taken) in [
        (r#"{"channels":7}"#, true),
        (r#"{"channels":[7]}"#, true),
        (r#"{"channel":7}"#, true),
        (r#"{"users":7,"channels":"7"}"#, true),
        (r#"{"channels":7.5}"#, false),
        (r#"{"channels":1e1}"#, false),
        (r#"{"channels":-0}"#, false),
        (r#"{"channels":true}"#, false),
    ] {
        let answer = server.push(format!(r#"{{"event":"E","targets":{targets}}}"#));
        assert_eq!(answer.status, if is_taken { 200 } else { 400 }, "{targets}");
        if is_taken {
            assert_eq!(source.event().name, "E", "{targets}");
        } else {
            assert!(answer.text().contains("names-not-a-list"), "{targets}: {}", answer.text());
        }
    }
}

#[test]
fn a_push_is_answered_in_what_its_caller_reads_best() {
    let server = TestServer::new();
    let push = br#"{"event":"E","targets":{"broadcast":true}}"#;
    for (accept, is_json) in [
        ("application/json", true),
        ("Application/JSON", true),
        ("application/problem+json", true),
        ("application/json;q=0.1", true),
        ("application/*", true),
        ("application/json, text/plain, */*", true),
        ("text/html, application/json;q=0.9", true),
        ("text/html, application/json;q=0.9, */*;q=0.8", true),
        ("*/*", false),
        ("application/json;q=0", false),
        ("application/json;q=0, */*", false),
        ("application/json;q=0.0, application/problem+json;q=0.000", false),
        ("text/plain, application/json;q=0.5", false),
        ("*/*, application/json;q=0.5", false),
        ("text/html", false),
        ("application/jsonx", false),
        ("", false),
    ] {
        let answer = server.http().post("/push", &[("Accept", accept)], push);
        assert_eq!(answer.text() != "OK", is_json, "{accept}: {}", answer.text());
    }
}
