//! Life at the edge of the file descriptors: what a program that runs out of them goes on doing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use super::support::{Child, Kind, Metrics, eventually, pause, raise_descriptors};

/// Time between two looks at a server that runs out of them.
const BEAT: Duration = Duration::from_millis(20);

#[test]
fn running_out_of_descriptors_costs_no_cpu_and_passes() {
    raise_descriptors();
    let variables = [("TURTED_LIMITS_CONNECTIONS", "1000"), ("TURTED_LIMITS_REQUEST_HEAD_WAIT", "60s")];
    let child = Child::start(&variables);
    let (mut kept, mut admin) = (child.http(), child.admin());
    assert_eq!((kept.get("/health").status, admin.get("/health").status), (200, 200));
    let mut client = child.client(Kind::V4_WEBSOCKET);
    let few = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(child.pid()), Resource::Nofile, few).unwrap();
    let crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(child.address()).unwrap()).collect();
    eventually("accepting fails", || Metrics::read(&mut admin).value("turted_accept_errors_total") > 2);
    let (before, began) = (child.cpu(), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(kept.get("/health").text(), "ok\n");
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        pause(BEAT);
    }
    let (used, time) = (child.cpu() - before, began.elapsed());
    assert!(used < time / 5, "{used:?} of {time:?}");
    drop(crowd);
    assert_eq!(child.http().get("/health").status, 200);
    assert_eq!(child.client(Kind::V4_POLLING).ask("ECHO", "1"), r#"42["ECHO",1]"#);
}

#[test]
fn a_program_that_is_given_few_descriptors_keeps_some_for_those_who_look_after_it() {
    raise_descriptors();
    let child = Child::start_with_descriptors(128, &[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    let mut kept = child.http();
    assert_eq!(kept.get("/health").text(), "ok\n", "it is let in before the crowd");
    let crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(child.address()).unwrap()).collect();
    let (before, began) = (child.cpu(), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(child.admin().get("/health").status, 200, "on a new connection each time");
        assert_eq!(kept.get("/health").text(), "ok\n");
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        pause(BEAT);
    }
    let (used, time) = (child.cpu() - before, began.elapsed());
    assert!(used < time * 3 / 10, "{used:?} of {time:?}");
    let metrics = child.admin().get("/metrics");
    assert!(metrics.text().contains(r#"turted_refusals_total{rule="connections"}"#), "{}", metrics.text());
    drop(crowd);
    eventually("there is room again", || {
        let mut http = child.http();
        http.send_request("GET", "/health", &[], b"");
        http.read().is_some_and(|answer| answer.status == 200)
    });
    assert_eq!(child.client(Kind::V4_POLLING).ask("ECHO", "1"), r#"42["ECHO",1]"#);
}
