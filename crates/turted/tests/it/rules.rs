//! What the RFCs of HTTP and of WebSocket demand of a server, as tables over sockets.

use super::support::{Response, TestServer};

/// The headers of a WebSocket handshake, but for its version and its connection.
const KEY: &str = "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\n";
const HOST: &str = "Host: localhost\r\n";

fn ask(server: &TestServer, request: impl AsRef<[u8]>) -> Response {
    let mut http = server.http();
    http.send(request);
    http.read_head().expect("an answer")
}

/// RFC 9112 3.2.
#[test]
fn a_request_has_exactly_one_host() {
    let server = TestServer::new();
    for (version, hosts, status) in [
        ("1.1", &["a.example"][..], 200),
        ("1.1", &["a.example:7117"], 200),
        ("1.1", &["[::1]:7117"], 200),
        ("1.1", &[""], 200),
        ("1.1", &[], 400),
        ("1.1", &["a.example", "a.example"], 400),
        ("1.1", &["a.example", "b.example"], 400),
        ("1.1", &["a.example, b.example"], 400),
        ("1.1", &["user@a.example"], 400),
        ("1.1", &["a.example/path"], 400),
        ("1.1", &["a b"], 400),
        ("1.0", &[], 200),
        ("1.0", &["a.example"], 200),
        ("1.0", &["a.example", "b.example"], 400),
    ] {
        let lines: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        for mut http in [server.http(), server.admin()] {
            http.send(format!("GET /health HTTP/{version}\r\n{lines}\r\n"));
            let answer = http.read().expect("an answer");
            assert_eq!(answer.status, status, "HTTP/{version} {hosts:?}");
            if status == 400 {
                assert!(answer.text().contains("RFC 9112 3.2"), "{hosts:?}");
                assert!(http.is_ended(), "{hosts:?}");
            }
        }
    }
}

/// RFC 9112 6.1 and 6.3. Where chunked is not the last one the answer is hyper's.
#[test]
fn a_transfer_coding_besides_chunked_is_not_implemented() {
    let server = TestServer::new();
    let body = r#"{"event":"e"}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (codings, status) in [
        (&["chunked"][..], 200),
        (&["CHUNKED"], 200),
        (&["gzip, chunked"], 501),
        (&["gzip", "chunked"], 501),
        (&["x-unknown, chunked"], 501),
        (&["chunked, chunked"], 501),
        (&["gzip"], 400),
        (&["chunked, gzip"], 400),
        (&["identity"], 400),
    ] {
        let lines: String = codings.iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n")).collect();
        let mut http = server.http();
        http.send(format!("POST /push/ HTTP/1.1\r\n{HOST}{lines}\r\n{chunked}"));
        let answer = http.read().unwrap_or_else(|| panic!("no answer to {codings:?}"));
        assert_eq!(answer.status, status, "{codings:?}");
        match status {
            200 => assert_eq!(http.get("/health").status, 200),
            _ => assert!(http.is_ended(), "the body was not read: {codings:?}"),
        }
    }
}

/// RFC 6455 4.2.2 and 4.4.
#[test]
fn another_version_of_websocket_is_told_which_one_there_is() {
    let server = TestServer::new();
    for (target, status) in [("/ws", 426), ("/socket.io/?EIO=4&transport=websocket", 400)] {
        for version in ["8", "14", "13, 8", "x", ""] {
            let request = format!(
                "GET {target} HTTP/1.1\r\n{HOST}{UPGRADE}{KEY}Sec-WebSocket-Version: {version}\r\n\r\n"
            );
            let answer = ask(&server, request);
            let told = answer.header("sec-websocket-version");
            assert_eq!((answer.status, told), (status, Some("13")), "{target} {version:?}");
        }
        let answer = ask(
            &server,
            format!("GET {target} HTTP/1.1\r\n{HOST}{UPGRADE}{KEY}Sec-WebSocket-Version: 13\r\n\r\n"),
        );
        assert_eq!((answer.status, answer.header("sec-websocket-version")), (101, None), "{target}");
    }
    let answer = ask(
        &server,
        format!(
            "GET /turted/000/s/websocket HTTP/1.1\r\n{HOST}{UPGRADE}{KEY}Sec-WebSocket-Version: 6\r\n\r\n"
        ),
    );
    assert_eq!((answer.status, answer.header("sec-websocket-version")), (400, Some("13")));
}

/// RFC 9110 7.8 and 15.5.22.
#[test]
fn who_is_told_to_upgrade_is_told_by_upgrade_and_connection() {
    let server = TestServer::new();
    for more in ["", UPGRADE] {
        let answer = ask(&server, format!("GET /ws HTTP/1.1\r\n{HOST}{more}\r\n"));
        let told = (answer.header("upgrade"), answer.header("connection"));
        assert_eq!((answer.status, told), (426, (Some("websocket"), Some("upgrade"))));
    }
}

/// RFC 9110 7.8: a server ignores Upgrade in a request of HTTP/1.0.
#[test]
fn http_1_0_is_never_answered_101() {
    let server = TestServer::new();
    for (target, status) in [
        ("/ws", 426),
        ("/socket.io/?EIO=4&transport=websocket", 400),
        ("/turted/000/s/websocket", 400),
        ("/turted/websocket", 400),
    ] {
        let request =
            format!("GET {target} HTTP/1.0\r\n{HOST}{UPGRADE}{KEY}Sec-WebSocket-Version: 13\r\n\r\n");
        assert_eq!(ask(&server, &request).status, status, "{target}");
        let as_1_1 = request.replace("HTTP/1.0", "HTTP/1.1");
        assert_eq!(ask(&server, as_1_1).status, 101, "{target}");
    }
}
