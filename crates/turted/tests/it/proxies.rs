//! Whose address counts: `X-Forwarded-For` and the PROXY protocol, from trusted proxies and others.
//!
//! The address shows in what is counted per address: wrong push passwords, of which each may send
//! one here.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use turted::config::{Config, Secret, TrustedProxies};

use crate::support::{Child, Client, Http, Kind, PATIENCE, Pair, TestServer, Tunnel};

const PUSH: &str = r#"{"event":"a","targets":{"broadcast":true},"auth":{"password":"wrong"}}"#;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn trusting(network: &str) -> impl FnOnce(&mut Config) {
    let network = network.parse().unwrap();
    move |config| {
        config.trusted_proxies = TrustedProxies::new(vec![network]);
        config.push.password = Some(Secret::from("secret"));
        config.limits.wrong_passwords = 1;
    }
}

fn with_header(network: &str) -> TestServer {
    TestServer::with(|config| {
        trusting(network)(config);
        config.proxy_protocol = true;
    })
}

/// The status of a push with a wrong password: 401 is the first of its address, 429 another one.
fn guess(http: &mut Http, forwarded: &str) -> u16 {
    let header = [("X-Forwarded-For", forwarded)];
    http.post("/push/", if forwarded.is_empty() { &[] } else { &header }, PUSH).status
}

/// A connection that starts with these bytes.
fn dial(server: &TestServer, start: &[u8]) -> Http {
    let mut http = server.http();
    http.send(start);
    http
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

/// The addresses of a version 2 header whose source is `192.0.2.{last}`.
fn addresses(last: u8) -> [u8; 12] {
    [192, 0, 2, last, 192, 0, 2, 1, 0x9C, 0x40, 0x01, 0xBB]
}

#[test]
fn forwarded_addresses_count_if_a_trusted_proxy_names_them() {
    let server = TestServer::with(trusting("127.0.0.0/8"));
    let mut http = server.http();
    assert_eq!(guess(&mut http, "192.0.2.1"), 401);
    assert_eq!(guess(&mut http, "192.0.2.1"), 429);
    assert_eq!(guess(&mut http, "192.0.2.2"), 401, "another client of the same proxy");
    assert_eq!(guess(&mut http, "192.0.2.3, 192.0.2.2"), 429, "only the rightmost is known");
    assert_eq!(guess(&mut http, "192.0.2.3, 127.0.0.9"), 401, "behind two proxies");
    assert_eq!(guess(&mut server.http(), "192.0.2.3"), 429, "on any connection");
    assert_eq!(guess(&mut http, ""), 401, "the proxy itself");
    assert_eq!(guess(&mut http, "nobody"), 429, "the proxy itself");
}

#[test]
fn forwarded_addresses_of_others_are_ignored() {
    let server = TestServer::with(trusting("10.0.0.0/8"));
    let mut http = server.http();
    assert_eq!(guess(&mut http, "192.0.2.1"), 401);
    for forwarded in ["192.0.2.2", "10.0.0.1", "192.0.2.3, 10.0.0.1", "127.0.0.1", ""] {
        assert_eq!(guess(&mut http, forwarded), 429, "{forwarded}");
    }
}

/// What a server with these variables logs of private addresses after `ask`.
fn told(variables: &[(&str, &str)], ask: impl Fn(&mut Http)) -> Vec<String> {
    let child = Child::start(variables);
    ask(&mut child.http());
    ask(&mut child.http());
    let output = child.stop();
    output.lines().filter(|line| line.contains("trusted_proxies")).map(str::to_owned).collect()
}

#[test]
fn a_proxy_of_the_own_network_that_nobody_named_is_told_once_with_the_key() {
    for header in [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")] {
        let ask = |http: &mut Http| assert_eq!(http.request("GET", "/health", &[header], b"").status, 200);
        for (proxies, lines) in [("", 1), ("10.0.0.0/8", 1), ("127.0.0.1", 0)] {
            let told = told(&[("TURTED_TRUSTED_PROXIES", proxies)], ask);
            assert_eq!(told.len(), lines, "{header:?} {proxies}: {told:?}");
            assert!(told.iter().all(|line| line.contains("WARN") && line.contains("127.0.0.1")), "{told:?}");
        }
    }
    assert!(told(&[], |http| assert_eq!(http.get("/health").status, 200)).is_empty(), "nobody is behind it");
}

#[test]
fn a_private_address_that_guesses_too_often_may_be_a_proxy_and_is_told_with_the_key() {
    let ask = |http: &mut Http| {
        guess(http, "");
    };
    let password = [("TURTED_PUSH_PASSWORD", "secret"), ("TURTED_LIMITS_WRONG_PASSWORDS", "2")];
    assert_eq!(told(&password, ask).len(), 1);
    let named = [password[0], password[1], ("TURTED_TRUSTED_PROXIES", "10.0.0.0/8")];
    assert!(told(&named, ask).is_empty(), "whoever names proxies knows them");
}

#[test]
fn a_proxy_header_names_the_client() {
    let server = with_header("127.0.0.0/8");
    let client = |last: u8| format!("PROXY TCP4 192.0.2.{last} 192.0.2.1 40000 443\r\n").into_bytes();
    for (header, status) in [
        (client(1), 401),
        (client(1), 429),
        (client(2), 401),
        (v2(0x21, 0x11, &addresses(2)), 429),
        (v2(0x21, 0x11, &addresses(3)), 401),
        (v2(0x21, 0x11, &[&addresses(3)[..], &[4, 0, 2, 0, 0]].concat()), 429),
        (v2(0x21, 0x21, &[0xFD; 36]), 401),
        (v2(0x20, 0x00, b""), 401),
        (b"PROXY UNKNOWN\r\n".to_vec(), 429),
    ] {
        assert_eq!(guess(&mut dial(&server, &header), ""), status, "{header:?}");
    }
    let mut http = dial(&server, &client(4));
    assert_eq!(guess(&mut http, "192.0.2.5"), 401);
    assert_eq!(guess(&mut http, "192.0.2.6"), 429, "what the client itself forwards is ignored");
}

#[test]
fn a_proxy_header_may_come_byte_by_byte_or_with_the_request() {
    let server = with_header("127.0.0.1");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in v2(0x21, 0x11, &addresses(1)) {
        stream.write_all(&[byte]).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(guess(&mut Http::over(stream), ""), 401);
    let length = PUSH.len();
    let request = format!("POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{PUSH}");
    let header = v2(0x21, 0x11, &[&addresses(1)[..], &[0; 1000]].concat());
    let mut http = dial(&server, &[&header[..], request.as_bytes()].concat());
    assert_eq!(http.read().unwrap().status, 429);
}

/// Whether the server ends a connection that starts with these bytes, without a word.
fn is_closed_silently(server: &TestServer, start: &[u8]) -> bool {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(start).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    answer.is_empty() && read.err().is_none_or(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_connection_without_a_proper_header_is_closed() {
    let server = with_header("127.0.0.0/8");
    for start in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"PROXY TCP4 nobody\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443 and so on, far beyond what a line may have of bytes in this version",
        &v2(0x21, 0x11, &addresses(1)[..11]),
        &v2(0x31, 0x11, &addresses(1)),
        &[SIGNATURE, b"\x21\x11\xFF\xFF"].concat(),
    ] {
        assert!(is_closed_silently(&server, start), "{start:?}");
    }
}

#[test]
fn a_header_of_a_stranger_is_not_even_read() {
    let server = with_header("10.0.0.0/8");
    let header = b"PROXY TCP4 10.0.0.1 192.0.2.1 40000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(is_closed_silently(&server, header));
    assert!(is_closed_silently(&server, b""));
}

#[test]
fn a_header_that_does_not_come_to_an_end_is_given_up() {
    let server = TestServer::with(|config| {
        trusting("127.0.0.0/8")(config);
        config.proxy_protocol = true;
        config.limits.request_head_wait = Duration::from_millis(200);
        config.limits.connections = Some(1);
        config.limits.spare_connections = 0;
    });
    // The permit of the one before comes back a moment after its connection ended: until then the
    // next one is told that there are too many.
    let closed_soon = |start| (0..100).any(|_| is_closed_silently(&server, start));
    for start in [&b""[..], b"PROXY TCP4 192.0.2.7", SIGNATURE] {
        assert!(closed_soon(start), "{start:?}");
    }
    let end = std::time::Instant::now() + PATIENCE;
    let mut status = 503;
    while status == 503 && std::time::Instant::now() < end {
        // The permit comes back a moment after the connection ended.
        status = guess(&mut dial(&server, b"PROXY UNKNOWN\r\n"), "");
    }
    assert_eq!(status, 401);
}

#[test]
fn a_proxy_header_comes_before_tls() {
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        trusting("127.0.0.0/8")(config);
        config.proxy_protocol = true;
        config.tls = Some(pair.files());
    });
    let tunnel = |prefix| Tunnel::start(server.address(), pair.client(rustls::ALL_VERSIONS), prefix);
    let adam = tunnel(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n");
    let eve = tunnel(b"PROXY TCP6 fd00::7 fd00::1 40000 443\r\n");
    for tunnel in [&adam, &eve] {
        for (kind, status) in [(Kind::V4_WEBSOCKET, 401), (Kind::V3_UPGRADED, 429)] {
            let mut client = Client::connect(tunnel.address(), kind);
            assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
            assert_eq!(guess(&mut Http::connect(tunnel.address()), ""), status);
            client.leave();
        }
    }
}
