//! The position in the reply to a `ping`: a client that resumes from it neither misses an event nor receives one
//! twice, whatever waits for it at that moment.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, yield_now};
use std::time::Duration;

use serde_json::{Value, json};
use turted::dispatcher::{DispatchRefusal, Dispatcher};

use super::Client;
use crate::support::{Http, Random, TestServer, WebSocket, eventually, pause};

/// Connections that a broadcast takes several slices for, even if nothing else is to be done.
const CROWD: usize = 400;

/// Clients that read what they are sent, so that each broadcast takes a while.
struct Crowd {
    is_over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Crowd {
    fn of(server: &TestServer) -> Self {
        let connect = |_| WebSocket::connect(server.address(), "/ws", &[]).unwrap().into_parts().0;
        let mut streams: Vec<TcpStream> = (0..CROWD).map(connect).collect();
        streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let reader = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                streams.iter_mut().for_each(drain);
                yield_now();
            }
        });
        Self { is_over, reader: Some(reader) }
    }
}

/// Reads what there is.
fn drain(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; 4_096]), Ok(read) if read > 0) {}
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// A server with one worker that replays as much as there is.
fn server() -> TestServer {
    TestServer::with(|config| {
        config.workers = 1;
        config.limits.message_rate = 1_000_000;
        config.limits.message_burst = 1_000_000;
        config.recovery.replay = 100_000;
    })
}

/// Dispatches to a channel, or to everyone, as soon as there is room.
fn push(dispatcher: &Dispatcher, channel: Option<&str>, number: usize) {
    let dispatch = || match channel {
        Some(channel) => dispatcher.notify_channel(channel, "e", &number),
        None => dispatcher.broadcast("e", &number),
    };
    while let Err(refusal) = dispatch() {
        assert_eq!(refusal, DispatchRefusal::Overload);
        yield_now();
    }
}

/// Pushes numbers until it is dropped: to everyone, to a channel that others are in, and to channel `own`.
struct Pushing {
    is_over: Arc<AtomicBool>,
    pusher: JoinHandle<Vec<usize>>,
}

impl Pushing {
    fn start(server: &TestServer, seed: u64) -> Self {
        let (dispatcher, is_over) = (server.dispatcher().clone(), Arc::new(AtomicBool::new(false)));
        let (stop, mut random) = (Arc::clone(&is_over), Random::new(seed));
        let pusher = thread::spawn(move || {
            let (mut number, mut own) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let channel = match random.below(10) {
                    0 => None,
                    1..=3 => Some("own"),
                    _ => Some("other"),
                };
                push(&dispatcher, channel, number);
                own.extend(Some(number).filter(|_| channel != Some("other")));
                // The inbox would be full all the time, and nothing but it would be tested.
                if random.chance(10) {
                    pause(Duration::from_millis(1));
                }
            }
            push(&dispatcher, None, number + 1);
            own.push(number + 1);
            own
        });
        Self { is_over, pusher }
    }

    /// Stops, and returns the numbers that are for members of `own`; the last one is for everyone.
    fn stop(self) -> Vec<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.pusher.join().unwrap()
    }
}

/// Resumes a session on a new connection. Returns the connection and how many events are replayed to it.
fn resume(server: &TestServer, session: &Value, cursor: &Value) -> (Client, usize) {
    let mut client = Client::new(server);
    client.send(&json!({"id": "r", "do": "resume", "session": session, "cursor": cursor}));
    // Events before the reply are for the session that it had until then.
    let reply = loop {
        let message = client.receive();
        if message["reply"] == "r" {
            break message;
        }
        assert!(message.get("event").is_some(), "{message}");
    };
    assert_eq!(reply["ok"], true, "{reply}");
    let replayed = reply["replayed"].as_u64().unwrap();
    (client, usize::try_from(replayed).unwrap())
}

#[test]
fn a_quiet_client_resumes_from_a_ping_where_its_last_event_is_too_old() {
    let server = TestServer::with(|config| config.recovery.log_dispatches = 3);
    let mut clients = [Client::new(&server), Client::new(&server)];
    clients.iter_mut().for_each(|client| client.join("c"));
    server.dispatcher().notify_channel("c", "e", &0).unwrap();
    let last = clients.each_mut().map(|client| client.receive()["cursor"].clone());
    (0..9).for_each(|number| _ = server.dispatcher().notify_channel("other", "e", &number).unwrap());
    let mut asked = json!(null);
    // The worker may not have seen all of them yet.
    eventually("the position is that of the last event for others", || {
        asked = clients[1].ping();
        asked.as_str().unwrap().ends_with("-10")
    });
    let [first, second] = clients.each_ref().map(|client| client.welcome["session"].clone());
    drop(clients);
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    let mut client = Client::new(&server);
    let request = json!({"id": 1, "do": "resume", "session": first, "cursor": last[0]});
    assert_eq!(client.code(&request), "gap");
    let (mut client, replayed) = resume(&server, &second, &asked);
    assert_eq!((replayed, client.receive()["payload"].clone()), (1, json!(1)));
}

#[test]
fn each_position_is_between_what_was_sent_before_the_reply_and_what_comes_behind() {
    const LEAST: usize = 150;
    const RESUMED: usize = 20;
    let server = server();
    let crowd = Crowd::of(&server);
    let mut client = Client::new(&server);
    client.join("own");
    let pushing = Pushing::start(&server, 1);
    let (mut events, mut positions) = (Vec::new(), Vec::new());
    client.send(&json!({"id": 0, "do": "ping"}));
    while positions.len() < LEAST || events.len() < LEAST {
        let message = client.receive();
        if message.get("event").is_some() {
            events.push(message);
        } else {
            positions.push((message["cursor"].clone(), events.len()));
            client.send(&json!({"id": 0, "do": "ping"}));
        }
    }
    let pushed = pushing.stop();
    while events.len() < pushed.len() {
        let message = client.receive();
        events.extend(message.get("event").is_some().then_some(message));
    }
    assert!(events.iter().map(|event| &event["payload"]).eq(&pushed), "each once and in order");
    drop(crowd);
    let session = client.welcome["session"].clone();
    drop(client);
    for (cursor, received) in positions.iter().step_by(positions.len() / RESUMED) {
        let (mut client, replayed) = resume(&server, &session, cursor);
        let missed: Vec<_> = (0..replayed).map(|_| client.receive()).collect();
        let behind = &events[*received..];
        assert!(missed == behind, "{replayed} events behind {cursor}, not {}", behind.len());
    }
}

#[test]
fn a_position_behind_a_replay_that_is_still_encoded_counts_all_of_it() {
    const EVENTS: usize = 500;
    let server = server();
    let push = |number: usize| {
        server.dispatcher().notify_channel("own", "e", &json!([number, "x".repeat(1_000)])).unwrap();
    };
    let mut client = Client::new(&server);
    client.join("own");
    let (session, cursor) = (client.welcome["session"].clone(), client.ping());
    drop(client);
    (0..EVENTS).for_each(push);
    // What it missed is more than fits into the sockets, and it reads nothing until it has asked.
    let socket = WebSocket::over(Http::connect_narrow(server.address()), "/ws", &[]).unwrap();
    let mut client = Client::over(socket);
    client.send(&json!({"id": "r", "do": "resume", "session": session, "cursor": cursor}));
    for number in EVENTS..EVENTS + 100 {
        client.send(&json!({"id": "p", "do": "ping"}));
        push(number);
    }
    assert_eq!(client.receive()["ok"], true);
    let (mut events, mut positions) = (Vec::new(), Vec::new());
    while events.len() < EVENTS + 100 || positions.len() < 100 {
        let message = client.receive();
        match message.get("event").is_some() {
            true => events.push(message),
            false => positions.push((message["cursor"].clone(), events.len())),
        }
    }
    assert!(
        (0..).zip(&events).all(|(number, event)| event["payload"][0] == number),
        "each once and in order"
    );
    drop(client);
    for (cursor, received) in positions.iter().step_by(9) {
        let (mut client, replayed) = resume(&server, &session, cursor);
        assert!(*received >= EVENTS, "the reply comes behind the replay");
        assert_eq!(replayed, events.len() - received, "behind {cursor}");
        let missed: Vec<_> = (0..replayed).map(|_| client.receive()).collect();
        assert!(missed == events[*received..]);
    }
}

#[test]
fn a_client_that_resumes_while_events_are_on_their_way_receives_each_once() {
    let server = server();
    let crowd = Crowd::of(&server);
    let mut client = Client::new(&server);
    client.join("own");
    let session = client.welcome["session"].clone();
    let pushing = Pushing::start(&server, 2);
    let (mut cursor, mut numbers, mut random) =
        (client.welcome["cursor"].clone(), Vec::new(), Random::new(3));
    for _ in 0..60 {
        let (back, _) = resume(&server, &session, &cursor);
        client = back;
        for _ in 0..1 + random.below(5) {
            let event = client.receive();
            numbers.push(event["payload"].clone());
            cursor = event["cursor"].clone();
        }
    }
    let pushed = pushing.stop();
    while numbers.len() < pushed.len() {
        numbers.push(client.receive()["payload"].clone());
    }
    assert!(numbers == pushed, "each once and in order: {numbers:?}");
    drop(crowd);
}
