//! All limits filled at once: what a server takes stays below the sum that the documentation has.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;
use socket2::{Domain, Socket, Type};
use turted::config::{Config, ConfigFile, Sources};

use super::{Child, Http, WebSocket, eventually, frame};

const MIB: usize = 1 << 20;
const CONNECTIONS: usize = 200;
const PASSWORD: &str = "a password of 128 bits and more";
const LIMITS: [(&str, &str); 11] = [
    ("TURTED_LIMITS_CONNECTIONS", "200"),
    ("TURTED_LIMITS_OUTBOX_BYTES", "4MiB"),
    ("TURTED_LIMITS_BACKLOG_BYTES", "48MiB"),
    // A busy machine takes longer to fill them than those that do not read may stay.
    ("TURTED_LIMITS_OUTBOX_STALL", "10m"),
    ("TURTED_LIMITS_BODIES_BYTES", "24MiB"),
    ("TURTED_LIMITS_IDEMPOTENCY_BYTES", "1MiB"),
    ("TURTED_LIMITS_PASSWORD_ADDRESSES", "500"),
    ("TURTED_LIMITS_WRONG_PASSWORDS", "1"),
    ("TURTED_RECOVERY_LOG_BYTES", "32MiB"),
    ("TURTED_RECOVERY_SESSION_BYTES", "2MiB"),
    ("TURTED_PUSH_PASSWORD", PASSWORD),
];

/// Pushes, and tells whether it was accepted.
fn push(http: &mut Http, targets: &serde_json::Value, bytes: usize, headers: &[(&str, &str)]) -> u16 {
    let bearer = format!("Bearer {PASSWORD}");
    let event = json!({"event": "E", "targets": targets, "payload": "x".repeat(bytes)});
    let headers = [headers, &[("Authorization", &bearer)]].concat();
    http.refresh();
    http.post("/push/", &headers, event.to_string()).status
}

/// A channel of one client, with the longest name there may be.
fn channel(client: usize, number: usize) -> String {
    format!("{client:0>127}-{number:0>127}")
}

/// A client of turted.v1 that has joined as many channels as it may, and reads nothing from now on.
fn member(child: &Child, number: usize) -> WebSocket {
    let mut client = WebSocket::over(Http::connect_narrow(child.address()), "/ws", &[]).unwrap();
    client.text().expect("welcome");
    client.send_text(format!(r#"{{"id":0,"do":"ident","username":"u{number}"}}"#));
    for channel in 0..128 {
        client.send_text(format!(
            r#"{{"id":{channel},"do":"join","channel":"{number:0>127}-{channel:0>127}"}}"#
        ));
    }
    (0..129).for_each(|_| drop(client.text().expect("a reply")));
    client
}

/// Guesses a password from an address of its own.
fn guess(server: SocketAddr, number: u16) {
    let [high, low] = number.to_be_bytes();
    let own = IpAddr::V4(Ipv4Addr::new(127, 1, high, low));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut http = Http::over(socket.into());
    assert_eq!(http.post("/push/", &[("Authorization", "Bearer wrong")], "{}").status, 401);
}

#[test]
fn a_server_whose_limits_are_all_filled_takes_less_than_their_sum() {
    let child = Child::start(&LIMITS);
    let mut http = child.http();
    (0..500).for_each(|number| guess(child.address(), number));
    // Sessions of clients that have gone: 60 kB each.
    (0..60).for_each(|number| drop(member(&child, number)));
    eventually("they are lost", || child.metric("turted_lost_sessions") > 20);
    let nobody = json!({"users": ["nobody"]});
    for number in 0..4_000 {
        let key = format!("{number:0>250}");
        let status = push(&mut http, &nobody, 1, &[("Idempotency-Key", &key)]);
        assert!([200, 503].contains(&status), "{status}");
    }
    (0..34).for_each(|_| assert_eq!(push(&mut http, &nobody, MIB - 1_000, &[]), 200));
    // Half a message of each client, of which some wait for events of their own.
    let mut members: Vec<_> = (1_000..1_060).map(|number| member(&child, number)).collect();
    let message = frame(0x81, &[b'x'; 65_000]);
    members.iter_mut().for_each(|client| client.stream.write_all(&message[..64_000]).unwrap());
    let full = |gauge_name: &str, limit: usize| child.metric(gauge_name) > limit * 9 / 10;
    for number in 0.. {
        if full("turted_backlog_bytes", 48 * MIB) {
            break;
        }
        assert!(number < 1_000, "nobody is there whom it waits for");
        let own = json!({"channels": [channel(1_000 + number % 60, 0)]});
        assert_eq!(push(&mut http, &own, MIB - 1_000, &[]), 200);
    }
    let mut bodies: Vec<_> = (0..24).map(|_| child.http()).collect();
    for http in &mut bodies {
        http.send(format!("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MIB}\r\n\r\n"));
        http.send(vec![b' '; MIB - 1]);
    }
    eventually("bodies are read", || full("turted_bodies_bytes", 24 * MIB));
    assert!(full("turted_log_bytes", 32 * MIB));
    assert!(full("turted_backlog_bytes", 48 * MIB));

    let variables = LIMITS.map(|(name, value)| (name.into(), value.into()));
    let file = ConfigFile::IfPresent("/nowhere".into());
    let config = Config::load(&Sources { file, variables: variables.into(), flags: Vec::new() }).unwrap();
    let filled = (48 + 24 + 32) * MIB + 60 * 64_000;
    let (taken, sum) = (child.most_memory(), config.memory_max(CONNECTIONS));
    println!("{} MiB taken of {}, {} filled", taken / MIB, sum / MIB, filled / MIB);
    assert!(filled < taken, "{taken} bytes of {sum}");
    assert!(taken < sum, "{taken} bytes of {sum}");
    drop((members, bodies));
    child.stop();
}
