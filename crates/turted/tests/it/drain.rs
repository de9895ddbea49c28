//! The end of the program: signals, exit codes, and what a drain owes to its clients.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::support::{
    Child, Client, Crowd, GOOD_BYE, Kind, Metrics, PATIENCE, SlowReader, eventually, pause, raise_descriptors,
};

const MANY: usize = 5_000;
/// How many connections a drain tells per second.
const PER_SECOND: usize = 1_000;
/// `drain_timeout`, and what a busy machine takes to start and end a process.
const DRAIN_MAX: Duration = Duration::from_secs(30 + 5);

#[test]
fn a_drain_of_5000_loses_nothing_acknowledged_and_spreads_closes_and_reconnects() {
    raise_descriptors();
    let (mut child, next) = (Child::start(&[]), Child::start(&[]));
    let crowd = Crowd::start(MANY, child.address(), next.address());
    let (began, mut connected) = (Instant::now(), 0);
    while connected < MANY {
        assert!(began.elapsed() < PATIENCE * 4, "only {connected} are connected");
        connected = connections(&child);
    }
    let enough = AtomicBool::new(false);
    let (accepted, stopped) = thread::scope(|scope| {
        let pushes = scope.spawn(|| push_numbers(&child, 0, &enough, 20));
        eventually("20 pushes are acknowledged", || enough.load(Ordering::Acquire));
        let stopped = Instant::now();
        child.signal(Signal::TERM);
        (pushes.join().unwrap(), stopped)
    });
    let lives = crowd.join();
    assert_eq!(child.wait().code(), Some(0));
    assert!(stopped.elapsed() < DRAIN_MAX, "{:?}", stopped.elapsed());
    assert!(accepted >= 20);
    for life in &lives {
        assert_eq!(life.numbers(), (0..accepted).collect::<Vec<_>>(), "of {accepted}");
        assert!(life.was_told());
    }
    assert_spread(lives.iter().map(|life| life.ended).collect());
    assert_spread(lives.iter().map(|life| life.again).collect());
}

/// Pushes the numbers from `from` on until a push is not accepted: the first that was not.
fn push_numbers(child: &Child, mut next: usize, enough: &AtomicBool, acknowledged: usize) -> usize {
    let mut http = child.http();
    loop {
        let body = format!(r#"{{"event":"N","targets":{{"broadcast":true}},"payload":{next}}}"#);
        http.send_request("POST", "/push/", &[], body.as_bytes());
        match http.read() {
            Some(answer) if answer.text() == "OK" => next += 1,
            Some(answer) => {
                assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
                assert_eq!(answer.text(), "the server is stopping");
                assert!(http.is_ended());
                return next;
            }
            None => panic!("the connection ended without an answer"),
        }
        if next == acknowledged {
            enough.store(true, Ordering::Release);
        }
    }
}

fn connections(child: &Child) -> usize {
    // Not by the API, which refuses while a worker is too busy to answer it.
    Metrics::read(&mut child.admin()).sum("turted_connections")
}

/// Whether these moments lie apart as good-byes do, also where a busy machine bunches some.
fn assert_spread(mut times: Vec<Instant>) {
    times.sort_unstable();
    let took = times[MANY - 1] - times[0];
    let planned = Duration::from_secs((MANY / PER_SECOND) as u64);
    assert!(took > planned * 4 / 5, "{MANY} at {PER_SECOND} per second took {took:?}");
    assert!(took < DRAIN_MAX, "{MANY} at {PER_SECOND} per second took {took:?}");
    let mut per_quarter = BTreeMap::<u128, usize>::new();
    times.iter().for_each(|time| *per_quarter.entry((*time - times[0]).as_millis() / 250).or_default() += 1);
    assert!(per_quarter.values().all(|count| *count <= MANY / 2), "{per_quarter:?}");
}

#[test]
fn a_small_server_stops_at_once() {
    for (signal, kind) in [(Signal::TERM, Kind::V4_WEBSOCKET), (Signal::INT, Kind::V4_POLLING)] {
        // What is waited for may take an hour.
        let mut child = Child::start(&[("TURTED_DRAIN_TIMEOUT", "1h")]);
        let mut client = child.client(kind);
        let mut idle = child.http();
        assert_eq!(idle.get("/health").status, 200);
        if kind == Kind::V4_POLLING {
            let waiting = client.send_poll();
            child.signal(signal);
            // A request that comes after the end of its session is answered 400.
            let answer = waiting.read().expect("a waiting request is answered");
            assert!(answer.text() == "1" || answer.status == 400, "{}", answer.head);
        } else {
            child.signal(signal);
            assert_eq!(client.socket().close_code(), Some(1012));
        }
        assert!(idle.is_ended());
        drop((client, idle));
        assert_eq!(child.wait().code(), Some(0));
        let output = child.finish();
        assert!(!output.contains("tasks cut off"), "the end waited for something: {output}");
        assert!(!output.contains("closing before all was sent"), "the end waited for something: {output}");
    }
}

/// A client that does not read, with more bytes waiting for it than the kernel takes.
fn stall(child: &Child) -> Client {
    let client = child.client(Kind::V3_WEBSOCKET);
    let payload = "x".repeat(100_000);
    let body = format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":"{payload}"}}"#);
    let mut waiting = 0;
    eventually("bytes wait", || {
        if waiting == 0 {
            assert_eq!(child.http().post("/push/", &[], &body).text(), "OK");
        }
        waiting = child.metric("turted_outbox_bytes");
        waiting > 0
    });
    client
}

/// A server that drains, and is not through with it before one client has taken what waits for it.
fn draining(child: &Child) -> SlowReader {
    let slow = SlowReader::start(child.address());
    let body =
        format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":"{}"}}"#, "x".repeat(900_000));
    (0..10).for_each(|_| assert_eq!(child.http().post("/push/", &[], &body).text(), "OK"));
    child.signal(Signal::TERM);
    eventually("it drains", || child.admin().get("/ready").status == 503);
    slow
}

/// A portion each time: less than a third of an event of 1 MB in the time for which a client may take nothing.
const SLOWLY: Duration = Duration::from_millis(120);

#[test]
fn a_client_that_takes_one_large_event_slowly_is_told_behind_it() {
    let child = Child::start(&BROAD);
    let slow = SlowReader::with(child.address(), SLOWLY);
    let body =
        format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":"{}"}}"#, "x".repeat(1_000_000));
    (0..10).for_each(|_| assert_eq!(child.http().post("/push/", &[], &body).text(), "OK"));
    child.signal(Signal::TERM);
    eventually("it drains", || child.admin().get("/ready").status == 503);
    // As long as a client may take nothing, three times.
    pause(Duration::from_secs(6));
    let received = slow.finish();
    let events = received.windows(12).filter(|text| text == br#"["EVENT",{"e"#).count();
    assert_eq!((events, received.ends_with(b"the server is stopping")), (10, true));
    child.finish();
}

const BROAD: [(&str, &str); 1] = [("TURTED_LIMITS_OUTBOX_BYTES", "64MiB")];

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut child = Child::start(&BROAD);
        let _slow = draining(&child);
        assert!(child.is_running());
        child.signal(signal);
        // One that had waited for the client would have ended well.
        assert_eq!(child.wait().code(), Some(code));
    }
}

const NO_HEADERS: &[(&str, &str)] = &[];
/// RFC 6455 1.3.
const UPGRADE: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn a_draining_server_takes_nothing_new_and_says_so() {
    let mut child = Child::start(&BROAD);
    let (mut kept, mut other, mut admin) = (child.http(), child.http(), child.admin());
    let (mut streams, mut sources) = (child.http(), child.http());
    let (mut sockets, mut upgrades) = (child.http(), child.http());
    assert_eq!(admin.get("/ready").text(), "ready\n");
    let slow = draining(&child);
    let push = r#"{"event":"E","targets":{"broadcast":true}}"#;
    let refused = kept.post("/push/", &[], push);
    assert_eq!((refused.status, refused.header("connection")), (503, Some("close")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(other.get("/health").text(), "ok\n");
    for (http, target) in [
        (&mut other, "/socket.io/?EIO=4&transport=polling"),
        (&mut streams, "/sse?channel=c"),
        (&mut sockets, "/turted/000/session/xhr"),
        (&mut upgrades, "/ws"),
    ] {
        let (method, headers) = match target {
            "/ws" => ("GET", UPGRADE),
            _ if target.ends_with("xhr") => ("POST", NO_HEADERS),
            _ => ("GET", NO_HEADERS),
        };
        let refused = http.request(method, target, headers, b"");
        let headers = (refused.header("connection"), refused.header("retry-after"));
        assert_eq!((refused.status, headers), (503, (Some("close"), Some("1"))), "{target}");
    }
    let later = sources.request("GET", "/sse?channel=c", &[("Accept", "text/event-stream")], b"");
    assert_eq!((later.status, later.header("connection")), (200, Some("close")));
    assert!(later.text().starts_with("retry: "), "an EventSource would never come back after a 503");
    assert!(TcpStream::connect(child.address()).is_err(), "the listener is closed");
    assert_eq!((admin.get("/ready").status, admin.get("/health").status), (503, 200));
    assert!(admin.get("/metrics").text().contains("turted_draining 1\n"));
    // The client gets everything, then hears why this ends.
    assert!(slow.finish().ends_with(GOOD_BYE));
    drop(admin);
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn a_client_that_never_reads_holds_the_end_up_no_longer_than_it_may() {
    let mut child = Child::start(&[BROAD[0], ("TURTED_DRAIN_TIMEOUT", "500ms")]);
    let _stalled = stall(&child);
    child.signal(Signal::TERM);
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn a_client_that_reads_slowly_gets_everything_before_the_end() {
    let mut child = Child::start(&BROAD);
    let mut slow = child.client(Kind::V3_WEBSOCKET);
    let body =
        format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":"{}"}}"#, "x".repeat(900_000));
    (0..16).for_each(|_| assert_eq!(child.http().post("/push/", &[], &body).text(), "OK"));
    let began = Instant::now();
    child.signal(Signal::TERM);
    for _ in 0..16 {
        assert_eq!(slow.event().name, "E");
        pause(Duration::from_millis(200));
    }
    assert_eq!(slow.socket().close_code(), Some(1012));
    assert!(began.elapsed() > Duration::from_secs(3), "longer than a client may take nothing");
    drop(slow);
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn a_polling_client_fetches_what_waits_before_it_is_told() {
    // On a busy machine a client may ask later than the server waits for it, which shows nothing.
    assert!((0..20).any(|_| fetched_what_waits()), "no client asked in time");
}

/// Whether a polling client got what waited for it when the drain began; `false` if it asked too late.
fn fetched_what_waits() -> bool {
    /// How long a client may take none of what waits for it (`hub/worker/drain.rs`).
    const STALL: Duration = Duration::from_secs(2);
    let mut child = Child::start(&[]);
    let mut client = child.client(Kind::V4_POLLING);
    let push = r#"{"event":"E","targets":{"broadcast":true},"payload":7}"#;
    assert_eq!(child.http().post("/push/", &[], push).text(), "OK");
    let since = Instant::now();
    child.signal(Signal::TERM);
    // The server may have ended already.
    while since.elapsed() < STALL && child.is_running() && child.admin().get("/ready").status != 503 {}
    // The client panics where no server answers it.
    let heard = thread::spawn(move || {
        assert_eq!(client.event().payload, 7);
        assert!(client.is_ended());
    });
    let heard = heard.join();
    assert!(heard.is_ok() || since.elapsed() >= STALL, "the server did not wait for the client");
    assert_eq!(child.wait().code(), Some(0));
    heard.is_ok()
}

#[test]
fn a_hangup_changes_nothing() {
    let mut child = Child::start(&[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    child.signal(Signal::HUP);
    for _ in 0..3 {
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        assert_eq!(child.http().get("/health").status, 200);
    }
    assert!(child.is_running());
}

#[test]
fn systemd_hears_of_readiness_of_life_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap().trim_end().to_owned()
    };
    let path = path.to_str().unwrap();
    let mut child = Child::start(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000")]);
    assert_eq!([hear(), hear(), hear()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    child.signal(Signal::TERM);
    while hear() != "STOPPING=1" {}
    assert_eq!(child.wait().code(), Some(0));
}
