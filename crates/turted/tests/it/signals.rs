//! What the program does with signals, and the time it goes on after the first to end.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::support::{Child, Kind, eventually};

const PUSH: &str = r#"{"event":"e","targets":{"broadcast":true}}"#;

#[test]
fn for_drain_delay_only_ready_says_that_the_server_ends() {
    let mut child = Child::start(&[("TURTED_DRAIN_DELAY", "8s"), ("TURTED_LOGLEVEL", "info")]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    let mut admin = child.admin();
    let began = Instant::now();
    child.signal(Signal::TERM);
    eventually("balancers hear of it", || admin.get("/ready").status == 503);
    assert_eq!((admin.get("/health").status, child.http().get("/health").status), (200, 200));
    assert_eq!(child.http().post("/push/", &[], PUSH).text(), "OK", "over a new connection");
    assert_eq!(client.event().name, "e");
    for kind in Kind::ALL {
        assert_eq!(child.client(kind).ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}");
    }
    assert!(admin.get("/metrics").text().contains("turted_draining 0\n"));
    assert_eq!(client.socket().close_code(), Some(1012));
    assert!(began.elapsed() >= Duration::from_secs(8), "{:?}", began.elapsed());
    drop((client, admin));
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn without_a_delay_the_drain_begins_at_once() {
    let mut child = Child::start(&[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    child.signal(Signal::TERM);
    assert_eq!(client.socket().close_code(), Some(1012));
    drop(client);
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_the_delay() {
    let mut child = Child::start(&[("TURTED_DRAIN_DELAY", "1h")]);
    child.signal(Signal::TERM);
    eventually("it ends", || child.admin().get("/ready").status == 503);
    child.signal(Signal::QUIT);
    assert_eq!(child.wait().code(), Some(131));
}

#[test]
fn quit_drains_as_term_does() {
    let mut child = Child::start(&[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    child.signal(Signal::QUIT);
    assert_eq!(client.socket().close_code(), Some(1012));
    drop(client);
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn signals_of_logrotate_and_timers_end_nothing() {
    let child = Child::start(&[("TURTED_LOGLEVEL", "info")]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    for signal in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::HUP] {
        child.signal(signal);
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{signal:?}");
    }
    client.leave();
    let output = child.stop();
    assert!(output.contains("SIGUSR1, SIGUSR2 and SIGALRM are ignored"), "{output}");
}

/// Kubernetes asks for readiness now and then and goes on sending until it has heard 503 (`periodSeconds`,
/// `failureThreshold: 1`), and a little longer, until every node knows. In a smaller measure: 200 ms and 800 ms, and a delay that a
/// busy machine keeps, too.
#[test]
fn a_balancer_that_asks_now_and_then_sends_nobody_into_a_closed_port() {
    let mut child = Child::start(&[("TURTED_DRAIN_DELAY", "8s")]);
    let mut admin = child.admin();
    let (mut asked, mut gone, mut sent) = (Instant::now(), None, 0);
    child.signal(Signal::TERM);
    let until_all_know = Duration::from_millis(800);
    while gone.is_none_or(|gone: Instant| gone.elapsed() < until_all_know) {
        if gone.is_none() && asked.elapsed() > Duration::from_millis(200) {
            asked = Instant::now();
            gone = (admin.get("/ready").status == 503).then_some(asked);
        }
        let answer = child.http().post("/push/", &[("Connection", "close")], PUSH);
        assert_eq!(answer.text(), "OK", "{sent} were sent before");
        sent += 1;
    }
    assert!(sent > 10, "{sent}");
    drop(admin);
    assert_eq!(child.wait().code(), Some(0));
}
