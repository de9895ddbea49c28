//! A delivery allocates nothing: what a dispatch costs in allocations does not depend on how many
//! connections receive it. And what a push costs that nobody receives.
//!
//! One test at a time, because the counters are those of the whole process. The clients are in it too and read
//! without allocating.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, also in its helpers")]
#![allow(clippy::print_stdout, reason = "the counts are worth seeing")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};
use tokio::sync::oneshot;
use turted::config::{Admin, AdminListen, Config};
use turted::dispatcher::Dispatcher;
use turted::server::{Server, ServerError};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Dispatches that are counted, half of them one at a time.
const DISPATCHES: usize = 512;
/// Dispatches at once: small enough for the socket of a client that does not read yet.
const BURST: usize = 32;
/// No other byte of what a client receives is this one: each is a delivery.
const PAYLOAD: &str = "#";
const SUBSCRIBERS: usize = 200;
/// What an ordinary push allocates at most: its items, names, targets and payload, its place in log and inbox, and its
/// answer. Through hyper it is ten more.
const PUSH_ALLOCATIONS_MAX: usize = 14;

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// A transport: its path, what a client says first, and how the last answer to that ends.
#[derive(Clone, Copy)]
struct Kind {
    path: &'static str,
    says: &'static [&'static str],
    answer: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { path: "/ws", says: &[r#"{"id":1,"do":"join","channel":"c"}"#], answer: r#""channel":"c"}"# },
    Kind {
        path: "/socket.io/?EIO=4&transport=websocket",
        says: &["40", r#"42["JOIN",{"channel":"c"}]"#, r#"42["ECHO",1]"#],
        answer: r#"42["ECHO",1]"#,
    },
];

#[test]
fn a_delivery_allocates_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in KINDS {
        let one = allocations(kind, 1);
        let many = allocations(kind, SUBSCRIBERS);
        let deliveries = (SUBSCRIBERS - 1) * DISPATCHES;
        println!("{}: {one} allocations for 1 subscriber, {many} for {SUBSCRIBERS}", kind.path);
        assert!(one >= DISPATCHES, "the server is what is counted: {one}");
        // Timers, the runtime, and bursts that are taken out of the inbox in other portions.
        let more = many.saturating_sub(one);
        assert!(more < DISPATCHES / 4, "{more} more allocations for {deliveries} more deliveries");
    }
}

#[test]
fn a_push_on_a_kept_connection_allocates_little() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (server, running, stop) = start();
    let mut backend = TcpStream::connect(server.address).unwrap();
    let body = r#"{"event":"order:new","targets":{"users":["alice"]},"payload":{"id":1}}"#;
    let head = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut push = |count: usize| {
        for _ in 0..count {
            backend.write_all(request.as_bytes()).unwrap();
            let (mut answer, mut end) = ([0; 1024], 0);
            while !answer[..end].ends_with(b"\r\n\r\nOK") {
                let read = backend.read(&mut answer[end..]).unwrap();
                assert!(read > 0, "the server closed");
                end += read;
            }
        }
    };
    push(2 * DISPATCHES);
    let before = made(ALLOCATOR.stats());
    push(DISPATCHES);
    let each = (made(ALLOCATOR.stats()) - before) / DISPATCHES;
    println!("{each} allocations for a push");
    assert!((1..=PUSH_ALLOCATIONS_MAX).contains(&each), "{each} allocations");
    drop((backend, stop));
    running.join().unwrap().unwrap();
}

/// A server of one worker.
struct Running {
    address: SocketAddr,
    dispatcher: Dispatcher,
}

fn start() -> (Running, JoinHandle<Result<(), ServerError>>, oneshot::Sender<()>) {
    let admin = Admin { listen: AdminListen::Off, token: None, write_token: None };
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), workers: 1, admin, ..Config::default() };
    let server = Server::bind(config).unwrap();
    let started = Running { address: server.address(), dispatcher: server.dispatcher() };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(server.run(async { drop(stopped.await) }))
    });
    (started, running, stop)
}

/// What the process allocates while so many subscribers receive [`DISPATCHES`].
fn allocations(kind: Kind, subscribers: usize) -> usize {
    let (Running { address, dispatcher }, running, stop) = start();
    let mut clients: Vec<_> = (0..subscribers).map(|_| connect(address, kind)).collect();
    // Everything that keeps its memory has it after the first round.
    round(&dispatcher, &mut clients);
    let before = made(ALLOCATOR.stats());
    round(&dispatcher, &mut clients);
    let allocations = made(ALLOCATOR.stats()) - before;
    drop((clients, stop));
    running.join().unwrap().unwrap();
    allocations
}

fn made(stats: Stats) -> usize {
    stats.allocations + stats.reallocations
}

/// Half of the dispatches one at a time, half of them in bursts, each received by all.
fn round(dispatcher: &Dispatcher, clients: &mut [TcpStream]) {
    let bursts = [1].repeat(DISPATCHES / 2).into_iter().chain([BURST].repeat(DISPATCHES / 2 / BURST));
    for burst in bursts {
        for _ in 0..burst {
            dispatcher.notify_channel("c", "EVENT", &PAYLOAD).unwrap();
        }
        clients.iter_mut().for_each(|client| receive(client, burst));
    }
}

/// Reads until so many deliveries have come; allocates nothing.
fn receive(client: &mut TcpStream, deliveries: usize) {
    let (mut buffer, mut seen) = ([0; 4096], 0);
    while seen < deliveries {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "the server closed");
        seen += buffer[..count].iter().filter(|byte| **byte == PAYLOAD.as_bytes()[0]).count();
    }
    assert_eq!(seen, deliveries);
}

fn connect(address: SocketAddr, kind: Kind) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    client.write_all(format!("GET {} HTTP/1.1\r\n{headers}\r\n\r\n", kind.path).as_bytes()).unwrap();
    for text in kind.says {
        // A text frame; a mask of zeros leaves it as it is (RFC 6455 5.2).
        let length = u8::try_from(text.len()).unwrap();
        client.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
    }
    let (mut buffer, mut answers) = ([0; 4096], Vec::new());
    while !answers.ends_with(kind.answer.as_bytes()) {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "refused: {}", String::from_utf8_lossy(&answers));
        answers.extend_from_slice(&buffer[..count]);
    }
    client
}
