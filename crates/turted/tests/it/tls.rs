//! TLS: every client through it, the certificate, and who does not get in.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::{ClientConfig, Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};

use crate::support::{
    Child, Client, Http, Kind, PATIENCE, Pair, TestServer, Tunnel, raise_descriptors, settle,
};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

fn start(pair: &Pair) -> TestServer {
    TestServer::with(|config| config.tls = Some(pair.files()))
}

/// A connection after its handshake.
fn dial(address: SocketAddr, client: &Arc<ClientConfig>) -> Result<TlsStream, std::io::Error> {
    let connection = ClientConnection::new(Arc::clone(client), "localhost".try_into().unwrap()).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Asks for something and reads to the end, which has to be declared.
fn ask(stream: &mut TlsStream) -> String {
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end after close_notify");
    answer
}

#[test]
fn every_client_works_over_tls() {
    let pair = Pair::new();
    let server = start(&pair);
    let tunnel = pair.tunnel(server.address());
    for kind in Kind::ALL {
        let mut client = Client::connect(tunnel.address(), kind);
        assert_eq!(client.ask("ECHO", r#"{"é":1}"#), r#"42["ECHO",{"é":1}]"#, "{kind:?}");
        client.ask("IDENT", r#"{"username":"adam"}"#);
        let push = r#"{"event":"HELLO","targets":{"users":["adam"]},"payload":[1]}"#;
        let answer = Http::connect(tunnel.address()).post("/push/", &[], push);
        assert_eq!((answer.status, answer.text()), (200, "OK"));
        assert_eq!(client.event().name, "HELLO", "{kind:?}");
        client.leave();
    }
}

#[test]
fn both_versions_are_spoken_and_the_version_of_http_is_agreed_on() {
    let pair = Pair::new();
    let server = start(&pair);
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut client = pair.client(&[version]);
        client.alpn_protocols = vec![b"http/1.0".to_vec(), b"http/1.1".to_vec()];
        let mut stream = dial(server.address(), &client.into()).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(ask(&mut stream).starts_with("HTTP/1.1 404 "));
    }
    let mut client = pair.client(&[&TLS13]);
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let stream = dial(server.address(), &client.clone().into()).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is preferred");
    client.alpn_protocols = vec![b"h3".to_vec()];
    assert!(dial(server.address(), &client.into()).is_err(), "nothing else is spoken");
}

#[test]
fn a_client_that_comes_back_resumes_on_any_worker_until_the_certificate_changes() {
    let pair = Pair::new();
    let server = start(&pair);
    for version in [&TLS12, &TLS13] {
        let client = Arc::new(pair.client(&[version]));
        let mut kinds = Vec::new();
        for _ in 0..6 {
            let mut stream = dial(server.address(), &client).unwrap();
            kinds.push(stream.conn.handshake_kind().unwrap());
            // Reading brings the tickets.
            ask(&mut stream);
        }
        assert_eq!(kinds[0], HandshakeKind::Full);
        assert!(kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{kinds:?}");
        server.certificates().reload().unwrap();
        let stream = dial(server.address(), &client).unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn the_certificate_changes_while_connections_live() {
    let pair = Pair::new();
    let server = start(&pair);
    let old = Arc::new(pair.client(rustls::ALL_VERSIONS));
    let tunnel = pair.tunnel(server.address());
    let mut client = Client::connect(tunnel.address(), Kind::V4_WEBSOCKET);
    let pair = pair.renewed();
    let new = Arc::new(pair.client(rustls::ALL_VERSIONS));
    assert!(dial(server.address(), &old).is_ok(), "nothing changes before the reload");
    server.certificates().reload().unwrap();
    assert!(dial(server.address(), &old).is_err());
    assert!(ask(&mut dial(server.address(), &new).unwrap()).contains("404"));
    assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    client.leave();
}

#[test]
fn a_pair_that_cannot_be_used_leaves_the_old_one_in_place() {
    let (pair, other) = (Pair::new(), Pair::new());
    let server = start(&pair);
    let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
    let key = std::fs::read(pair.files().key).unwrap();
    let foreign = std::fs::read(other.files().key).unwrap();
    for (broken, expected) in [
        (&foreign[..], "certificate and key cannot be used: "),
        (b"", "cannot read the key in "),
        (&key[..key.len() / 2], "cannot read the key in "),
    ] {
        std::fs::write(pair.files().key, broken).unwrap();
        let error = server.certificates().reload().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(dial(server.address(), &client).is_ok());
    }
    std::fs::write(pair.files().key, key).unwrap();
    std::fs::write(pair.files().cert, "no certificate").unwrap();
    let error = server.certificates().reload().unwrap_err().to_string();
    assert!(error.starts_with("cannot read the certificates in "), "{error}");
    assert!(dial(server.address(), &client).is_ok());
}

#[test]
fn plain_http_is_told_where_it_is() {
    let pair = Pair::new();
    let server = start(&pair);
    let mut http = server.http();
    let answer = http.get("/socket.io/?EIO=4&transport=polling");
    assert_eq!((answer.status, answer.text()), (400, "this port speaks TLS: use https and wss"));
    assert!(http.is_ended());
}

/// The first bytes of a handshake, cut.
fn half_a_hello(pair: &Pair) -> Vec<u8> {
    let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
    let mut connection = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello.truncate(hello.len() / 2);
    hello
}

#[test]
fn handshakes_that_break_or_stall_do_not_keep_their_permit() {
    const WAIT: Duration = Duration::from_secs(2);
    const CONNECTIONS: u32 = 10;
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.limits.connections = Some(CONNECTIONS as usize);
        config.limits.request_head_wait = WAIT;
    });
    let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
    let half = half_a_hello(&pair);
    // The first three end by their own fault, the others at the deadline.
    let starts: [&[u8]; 5] =
        [b"\x16garbage, and more of it", b"\0\0\0\0", b"\x16\x03\x01\xff\xff", b"", &half];
    for start in starts {
        let began = Instant::now();
        let open: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address()).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(start).unwrap();
                stream
            })
            .collect();
        for mut stream in open {
            // An alert may come, then the end, however it is told.
            let read = stream.read_to_end(&mut Vec::new());
            assert!(!matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock), "{start:?}");
        }
        // One after the other they would take ten times as long as together.
        assert!(began.elapsed() < WAIT * CONNECTIONS / 2, "{start:?}");
        assert!(eventually(|| dial(server.address(), &client).is_ok()), "{start:?}");
    }
}

#[test]
fn a_handshake_that_stalls_counts_as_a_connection() {
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.limits.connections = Some(1);
        config.limits.spare_connections = 0;
    });
    // Two workers may take the two in any order.
    let mut both = [(); 2].map(|()| TcpStream::connect(server.address()).unwrap());
    both.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let mut start = [0; 13];
    assert!(eventually(|| both.iter_mut().any(|stream| stream.read(&mut start).is_ok())));
    assert_eq!(&start, b"HTTP/1.1 503 ");
    drop(both);
    let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
    assert!(eventually(|| dial(server.address(), &client).is_ok()));
}

fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Joins the channel `all`.
fn join(tunnel: &Tunnel) -> Client {
    let mut client = Client::connect(tunnel.address(), Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":"all"}"#);
    client
}

fn push(server: &Tunnel, number: usize, bytes: usize) {
    let payload = "x".repeat(bytes);
    let body = format!(r#"{{"event":"{number}","targets":{{"channels":["all"]}},"payload":"{payload}"}}"#);
    let answer = Http::connect(server.address()).post("/push/", &[("Connection", "close")], body);
    assert_eq!(answer.text(), "OK");
}

#[test]
fn what_a_socket_does_not_take_arrives_later_whole_and_in_order() {
    const PUSHES: usize = 40;
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.limits.outbox_bytes = 64 * 1024 * 1024;
        config.limits.push_body_bytes = 2 * 1024 * 1024;
    });
    let tunnel = pair.tunnel(server.address());
    let mut client = join(&tunnel);
    // From far below one record to far above what waits as ciphertext.
    let bytes = |number: usize| [10, 1_000, 16_384, 40_000, 700_000][number % 5];
    for number in 0..PUSHES {
        push(&tunnel, number, bytes(number));
    }
    for number in 0..PUSHES {
        let event = client.event();
        assert_eq!(event.name, number.to_string());
        assert_eq!(event.payload.as_str().map(str::len), Some(bytes(number)));
    }
    assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    client.leave();
}

#[test]
fn a_client_that_does_not_read_is_cut_and_others_get_everything() {
    const PUSHES: usize = 120;
    let pair = Pair::new();
    let server = start(&pair);
    let (tunnel, slow_tunnel) = (pair.tunnel(server.address()), pair.tunnel(server.address()));
    let mut slow = join(&slow_tunnel);
    let mut client = join(&tunnel);
    for number in 0..PUSHES {
        push(&tunnel, number, 200_000);
        assert_eq!(client.event().name, number.to_string());
    }
    let mut received = 0;
    while slow.receive().is_some() {
        received += 1;
    }
    assert!(received < PUSHES, "24 MB fit into no buffer");
    assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    client.leave();
}

#[test]
fn a_server_that_stops_says_so_within_tls() {
    let pair = Pair::new();
    let server = start(&pair);
    let tunnel = pair.tunnel(server.address());
    let mut client = Client::connect(tunnel.address(), Kind::V4_WEBSOCKET);
    let stopping = std::thread::spawn(move || server.stop());
    assert_eq!(client.socket().close_code(), Some(1012));
    stopping.join().unwrap();
}

#[test]
fn clear_text_and_tls_do_not_mix_on_one_connection() {
    let pair = Pair::new();
    let server = start(&pair);
    let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
    let mut stream = dial(server.address(), &client).unwrap();
    stream.sock.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let ended = stream.read_to_end(&mut Vec::new());
    assert!(!matches!(ended, Err(error) if error.kind() == ErrorKind::WouldBlock));
    assert!(dial(server.address(), &client).is_ok());
}

/// An event stream that is open.
fn open_stream(address: SocketAddr, client: &Arc<ClientConfig>) -> TlsStream {
    let mut stream = dial(address, client).unwrap();
    stream.write_all(b"GET /sse HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(6).any(|window| window == b"retry:") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&piece[..read]);
    }
    stream
}

#[test]
fn an_idle_connection_keeps_its_keys_and_no_buffer() {
    const STREAMS: usize = 1_000;
    raise_descriptors();
    let pair = Pair::new();
    let files = pair.files();
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    for (version, name) in [(&TLS13, "1.3"), (&TLS12, "1.2")] {
        let child =
            Child::start(&[("TURTED_WORKERS", "1"), ("TURTED_TLS_CERT", cert), ("TURTED_TLS_KEY", key)]);
        let mut client = pair.client(&[version]);
        client.resumption = Resumption::disabled();
        let client = Arc::new(client);
        let connect = || -> Vec<_> { (0..STREAMS).map(|_| open_stream(child.address(), &client)).collect() };
        let first = connect();
        settle(&child);
        let before = child.memory();
        let second = connect();
        settle(&child);
        let each = child.memory().saturating_sub(before) / STREAMS;
        println!("{each} bytes per idle event stream over TLS {name}");
        // A read buffer of the library alone would be 4 KiB more.
        assert!(each <= 6_000, "TLS {name}: {each} bytes");
        drop((first, second));
        child.stop();
    }
}
