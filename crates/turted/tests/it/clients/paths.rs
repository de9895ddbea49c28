//! A path with or without a slash at its end is the same path.

use crate::support::{Child, EventSource, TestServer, WebSocket};

#[test]
fn a_path_is_the_same_with_and_without_a_slash_at_its_end() {
    let server = TestServer::with(|config| config.sse.reactphp_path = Some("/events".into()));
    for slash in ["", "/"] {
        let at = |path: &str| format!("{path}{slash}");
        assert!(WebSocket::connect(server.address(), &at("/ws"), &[]).is_ok(), "{slash}");
        for path in ["/sse", "/events"] {
            let target = format!("{}?channel=c", at(path));
            assert!(EventSource::connect(server.address(), &target, &[]).is_ok(), "{target}");
        }
        let body = r#"{"event":"E","targets":{"broadcast":true}}"#;
        assert_eq!(server.http().post(&at("/push"), &[], body).text(), "OK");
        for (path, status) in [
            (at("/health"), 200),
            (at("/turted"), 200),
            (format!("{}?EIO=4&transport=polling", at("/socket.io")), 200),
        ] {
            assert_eq!(server.http().get(&path).status, status, "{path}");
        }
        for path in ["/health", "/ready", "/metrics", "/api/v1/users", "/api/v1/counts"] {
            assert_eq!(server.admin().get(&at(path)).status, 200, "{path}{slash}");
        }
    }
    for path in ["/ws//", "/sse//", "/push//", "/health//", "/wsx", "/ws/x", "/sse/x", "/"] {
        assert_eq!(server.http().get(path).status, 404, "{path}");
    }
}

#[test]
fn a_path_that_is_configured_with_a_slash_is_served_with_and_without_it() {
    let child = Child::start(&[
        ("TURTED_WEBSOCKET_PATH", "/a/ws/"),
        ("TURTED_SSE_PATH", "/a/events/"),
        ("TURTED_SOCKJS_PATH", "/a/sockjs/"),
        ("TURTED_PUSH_PATH", "/a/push/"),
        ("TURTED_SOCKETIO_PATH", "/a/socket.io"),
    ]);
    for slash in ["", "/"] {
        let at = |path: &str| format!("/a/{path}{slash}");
        assert!(WebSocket::connect(child.address(), &at("ws"), &[]).is_ok(), "{slash}");
        assert!(EventSource::connect(child.address(), &at("events"), &[]).is_ok(), "{slash}");
        assert_eq!(child.http().get(&at("sockjs")).status, 200);
        let body = r#"{"event":"E","targets":{"broadcast":true}}"#;
        assert_eq!(child.http().post(&at("push"), &[], body).text(), "OK");
        let handshake = format!("{}?EIO=4&transport=polling", at("socket.io"));
        assert_eq!(child.http().get(&handshake).status, 200, "{handshake}");
    }
    child.stop();
}
