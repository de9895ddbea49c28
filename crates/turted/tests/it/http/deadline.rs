//! Polling sessions that are over: whoever asks for one learns it at once.
//!
//! Of version 3, whose deadline begins with the handshake. That of version 4 begins when the worker sends its
//! heartbeat, which a busy machine delays: it is tested where time stands still (`transport/socketio/engine/tests.rs`).

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Kind, TestServer};

/// Sessions at a time. Each has a deadline of its own, so that those of some are due while the worker pauses.
const SESSIONS: u32 = 16;
const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(100);

#[test]
fn a_request_that_comes_after_the_ping_deadline_is_answered_400() {
    let server = TestServer::with(|config| {
        config.workers = 1;
        config.socketio.ping_interval = INTERVAL;
        config.socketio.ping_timeout = TIMEOUT;
    });
    let target = Kind::V3_POLLING.target("polling", "");
    let late = |number: u32| {
        wait(Instant::now() + number * Duration::from_millis(3));
        let handshake = server.http().get(&target);
        let sid = handshake.text().split_once(r#""sid":""#).unwrap().1.split('"').next().unwrap().to_owned();
        let mut http = server.http();
        wait(Instant::now() + INTERVAL + TIMEOUT);
        let answer = http.get(&format!("{target}&sid={sid}"));
        (answer.status, answer.text().to_owned())
    };
    thread::scope(|scope| {
        let late = &late;
        let answers: Vec<_> = (0..SESSIONS).map(|number| scope.spawn(move || late(number))).collect();
        for answer in answers {
            let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
            assert_eq!(answer.join().unwrap(), (400, unknown.to_owned()));
        }
    });
}

/// The deadline is a time, so the test has to wait for it.
fn wait(until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
