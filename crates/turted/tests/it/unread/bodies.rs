//! Bodies that are begun, by many or in tiny pieces.

use crate::metrics::expect;
use crate::support::{Child, Http, TestServer, eventually};

const MB: usize = 1_000_000;

/// Begins a push of so many bytes and sends all but the last one.
fn begin(http: &mut Http, bytes: usize) {
    http.send(format!("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n"));
    http.send(vec![b' '; bytes - 1]);
}

/// A push in chunks of one byte.
fn in_chunks_of_one(bytes: usize) -> String {
    let head = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(bytes))
}

#[test]
fn bodies_that_are_being_read_are_bounded_together() {
    let server = TestServer::with(|config| {
        config.limits.bodies_bytes = 4 * 1024 * 1024;
        config.limits.push_body_bytes = 1024 * 1024;
    });
    let mut begun: Vec<_> = (0..4).map(|_| server.http()).collect();
    begun.iter_mut().for_each(|http| begin(http, 1024 * 1024));
    eventually("all of it is read", || server.metric("turted_bodies_bytes") >= 4 * 1024 * 1024 - 4);
    let mut http = server.http();
    let refused = http.post("/push/", &[("Accept", "application/json")], [b' '; 1000]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(
        (refused.json()["rule"].as_str(), refused.header("connection")),
        (Some("bodies-full"), Some("close"))
    );
    assert!(refused.text().contains("limits.bodies_bytes"), "{}", refused.text());
    assert_eq!(server.http().get("/health").status, 200, "who brings no body is served");
    expect(&server, &[("turted_refusals_total{rule=\"bodies-full\"}", 1.0)]);
    begun[0].send(b" ");
    assert_eq!(begun[0].read().unwrap().status, 400, "it is no push, and was read");
    assert_eq!(server.push(r#"{"event":"e"}"#).status, 200, "there is room again");
    drop(begun);
    expect(&server, &[("turted_bodies_bytes", 0.0)]);
}

#[test]
fn a_body_in_tiny_pieces_is_refused_by_each_transport() {
    let server = TestServer::new();
    let session = server.client(crate::support::Kind::V4_POLLING);
    let polling = session.kind.target("polling", &session.sid);
    for target in ["/push/", polling.as_str(), "/turted/000/abc/xhr_send"] {
        let mut http = server.http();
        http.send(in_chunks_of_one(10_000).replace("/push/", target));
        let refused = http.read().unwrap();
        assert_eq!((refused.status, refused.header("connection")), (413, Some("close")), "{target}");
        assert!(refused.text().contains("1,024 and one for each 64 bytes"), "{}", refused.text());
    }
    let mut http = server.http();
    http.send(in_chunks_of_one(1_000));
    assert_eq!((http.read().unwrap().status, http.get("/health").status), (400, 200), "it was read");
}

#[test]
fn bodies_that_are_not_finished_cost_what_has_come_of_them() {
    let child = Child::start(&[("TURTED_LIMITS_BODIES_BYTES", "40000000")]);
    assert_eq!(child.http().get("/health").status, 200);
    let before = child.memory();
    // 30 MB of announcements, of which 3 MB come, and two connections for each that is refused.
    let mut small: Vec<_> = (0..30).map(|_| child.http()).collect();
    for http in &mut small {
        http.send(format!("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MB}\r\n\r\n"));
        http.send(vec![b' '; MB / 10]);
    }
    let bytes = || child.metric("turted_bodies_bytes");
    eventually("all of it is read", || bytes() >= 3 * MB);
    assert!(bytes() <= 6 * MB, "twice what has come at most: {}", bytes());
    let gained = child.memory().saturating_sub(before);
    println!("{gained} bytes for 3 MB of bodies");
    assert!(gained < 12 * MB, "{gained} bytes for 3 MB of bodies");
    let mut many: Vec<_> = (0..100).map(|_| child.http()).collect();
    many.iter_mut().for_each(|http| begin(http, MB));
    let gained = child.memory().saturating_sub(before);
    println!("{gained} bytes for 103 MB of bodies");
    assert!(gained < 80 * MB, "{gained} bytes for 103 MB of bodies");
}
