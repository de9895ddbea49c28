//! Which subprotocol of a WebSocket is confirmed: browsers end one of which the server confirms none.

use crate::support::{Response, TestServer};

fn ask(server: &TestServer, target: &str, protocols: &[&str]) -> Response {
    let mut http = server.http();
    let mut headers = vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(protocols.iter().map(|protocol| ("Sec-WebSocket-Protocol", *protocol)));
    http.send_request("GET", target, &headers, b"");
    let head = http.read_head().unwrap();
    if head.status == 101 { head } else { http.read_body(head) }
}

#[test]
fn a_transport_without_subprotocols_confirms_the_first_one() {
    let server = TestServer::new();
    let polling = server.http().get("/socket.io/?EIO=4&transport=polling");
    let sid = &polling.text()[9..29];
    for target in [
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?EIO=4&transport=websocket",
        &format!("/socket.io/?EIO=4&transport=websocket&sid={sid}"),
        "/turted/websocket",
        "/turted/000/c1/websocket",
    ] {
        let is_upgrade = target.contains("sid=");
        for (protocols, expected) in [
            (&["x"][..], Some("x")),
            (&["x, y"], Some("x")),
            (&["y", "x"], Some("y")),
            (&[], None),
            (&["", "x"], Some("x")),
            (&["a b, x"], Some("x")),
        ] {
            if is_upgrade && expected != Some("x") {
                continue;
            }
            let head = ask(&server, target, protocols);
            assert_eq!(head.status, 101, "{target}");
            assert_eq!(head.header("sec-websocket-protocol"), expected, "{target} {protocols:?}");
        }
    }
}

#[test]
fn who_names_other_subprotocols_than_turted_v1_hears_what_is_missing() {
    let server = TestServer::new();
    for (protocols, status) in [
        (&["turted.v1"][..], 101),
        (&["turted.bearer.T, turted.v1"], 101),
        (&["turted.bearer.T", "turted.v1"], 101),
        (&[], 101),
        (&["turted.bearer.T"], 400),
        (&["turted.ident.e30"], 400),
        (&["x"], 400),
        (&["turted.v2, x"], 400),
        (&["Turted.V1"], 400),
    ] {
        let answer = ask(&server, "/ws", protocols);
        assert_eq!(answer.status, status, "{protocols:?}");
        let confirmed = (status == 101 && !protocols.is_empty()).then_some("turted.v1");
        assert_eq!(answer.header("sec-websocket-protocol"), confirmed, "{protocols:?}");
        if status == 400 {
            assert!(answer.text().contains("turted.v1"), "{}", answer.text());
        }
    }
}
