//! Answers that nobody reads, on either port and over either version of HTTP: they end, and cost no
//! more than they may meanwhile.

mod bodies;

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::metrics::expect;
use crate::support::{Child, Http, Pair, TestServer, Tunnel, eventually, pause, read_some};

const STALL: Duration = Duration::from_millis(300);
const MB: usize = 1_000_000;

/// A directory of assets with a file of so many bytes.
pub(crate) fn assets(bytes: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("large.js"), vec![b'x'; bytes]).unwrap();
    directory
}

/// Connections that ask again and again for something and read nothing.
fn never_reading(count: usize, mut connect: impl FnMut() -> Http, target: &str) -> Vec<Http> {
    let requests = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(20);
    let ask = |_| {
        let mut http = connect();
        http.send(&requests);
        http
    };
    (0..count).map(ask).collect()
}

#[test]
fn a_connection_whose_answers_are_not_read_ends_and_gives_back_its_place() {
    let directory = assets(MB);
    let pair = Pair::new();
    for with_tls in [false, true] {
        let server = TestServer::with(|config| {
            config.assets_dir = Some(directory.path().into());
            config.limits.outbox_stall = STALL;
            config.limits.request_head_wait = Duration::from_secs(60);
            config.tls = with_tls.then(|| pair.files());
        });
        let client = || pair.client(rustls::ALL_VERSIONS);
        let tunnel = with_tls.then(|| Tunnel::start(server.address(), client(), b""));
        let connect =
            || tunnel.as_ref().map_or_else(|| server.http(), |tunnel| Http::connect(tunnel.address()));
        let unread = never_reading(10, connect, "/socket.io/large.js");
        expect(&server, &[("turted_unread_answers_total", 10.0), ("turted_sockets", 0.0)]);
        drop(unread);
    }
}

#[test]
fn a_connection_that_reads_its_answers_slowly_gets_all_of_them() {
    // Long enough for a busy machine to let the client read in between.
    const LONG_STALL: Duration = Duration::from_secs(2);
    let directory = assets(MB);
    let server = TestServer::with(|config| {
        config.assets_dir = Some(directory.path().into());
        config.limits.outbox_stall = LONG_STALL;
    });
    let mut http = server.http();
    let socket = socket2::SockRef::from(&http.stream);
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    http.send_request("GET", "/socket.io/large.js", &[], b"");
    let head = http.read_head().unwrap();
    let (mut stream, read) = http.into_parts();
    let (started, mut left) = (Instant::now(), MB - read.len());
    let mut piece = vec![0; 32 * 1024];
    while left > 0 {
        pause(LONG_STALL / 10);
        let some = left.min(piece.len());
        std::io::Read::read_exact(&mut stream, &mut piece[..some]).unwrap();
        left -= some;
    }
    assert_eq!(head.header("content-length"), Some("1000000"));
    assert!(started.elapsed() > LONG_STALL * 3, "it took longer than anybody may take for nothing");
    expect(&server, &[("turted_unread_answers_total", 0.0)]);
}

#[test]
fn a_file_that_many_do_not_read_is_in_memory_once() {
    let directory = assets(8 * 1024 * 1024);
    let child = Child::start(&[("TURTED_ASSETS_DIR", directory.path().to_str().unwrap())]);
    assert_eq!(child.http().get("/socket.io/large.js").body.len(), 8 * 1024 * 1024);
    let before = child.memory();
    let unread = never_reading(50, || child.http(), "/socket.io/large.js");
    eventually("all are served", || child.admin().get("/metrics").text().contains("\nturted_sockets 50\n"));
    let gained = child.memory().saturating_sub(before);
    assert!(gained < 10 * MB, "{gained} bytes for {} connections", unread.len());
}

#[test]
fn connections_that_do_nothing_keep_nobody_from_the_health_of_the_server() {
    // A server that let others wait for those would do so for longer than they wait.
    let server = TestServer::with(|config| {
        config.limits.request_head_wait = Duration::from_secs(600);
        config.limits.outbox_stall = Duration::from_secs(600);
    });
    let silent: Vec<_> = (0..40).map(|_| server.admin()).collect();
    let unread = never_reading(40, || server.admin(), "/metrics");
    for target in ["/health", "/ready", "/metrics"] {
        assert_eq!(server.admin().get(target).status, 200, "{target}");
    }
    drop((silent, unread));
}

#[test]
fn the_admin_listener_has_the_limits_of_the_public_port() {
    let server = TestServer::with(|config| {
        config.limits.request_headers = 10;
        config.limits.request_uri_bytes = 100;
        config.limits.request_head_wait = STALL;
        config.limits.outbox_stall = STALL;
    });
    let target = |bytes: usize| format!("/health?{}", "x".repeat(bytes - 8));
    let mut http = server.admin();
    assert_eq!((http.get(&target(100)).status, http.get(&target(101)).status), (200, 414));
    // One header is `Host`.
    let headers = |count: usize| vec![("a", "b"); count - 1];
    assert_eq!(server.admin().request("GET", "/health", &headers(10), b"").status, 200);
    assert_eq!(server.admin().request("GET", "/health", &headers(11), b"").status, 431);
    assert!(server.admin().is_ended(), "who says nothing");
    let mut unread = never_reading(1, || server.admin(), "/metrics").remove(0);
    unread.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2_000));
    pause(STALL * 4);
    let (mut stream, mut come) = (unread.stream, Vec::new());
    while read_some(&mut stream, &mut come) > 0 {}
    let answers = come.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    assert!(answers < 2_020, "who reads nothing is cut");
}
