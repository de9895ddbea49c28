//! Standard error and standard output that nobody reads, or that are closed: the server serves.

use std::io::{BufRead, BufReader, PipeReader, Write, pipe};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Child, Flood, Http, Kind, eventually, ports};

/// How long a stop may take: half of what it would wait for clients (`drain_timeout`).
const STOP_MAX: Duration = Duration::from_secs(15);
/// What Linux takes into a pipe that nobody reads (`pipe(7)`).
const PIPE_BYTES: usize = 64 * 1024;
/// Each session of a flood gives way to a later one, which is logged.
const TALKATIVE: [(&str, &str); 2] = [("TURTED_LOGLEVEL", "debug"), ("TURTED_LIMITS_CONNECTIONS", "100")];
const DROPPED: &str = "turted_log_lines_dropped_total";

/// Makes the program log until lines are dropped.
fn fill(child: &Child) {
    let flood = Flood::of_polling(child.address(), Kind::V4_POLLING);
    eventually("lines are dropped", || child.metric(DROPPED) > 100);
    drop(flood);
}

fn assert_alive(child: &Child) {
    assert_eq!(child.http().get("/health").text(), "ok\n");
    assert_eq!(child.client(Kind::V4_WEBSOCKET).ask("ECHO", "1"), r#"42["ECHO",1]"#);
    assert_eq!(child.http().post("/push/", &[], r#"{"event":"e"}"#).text(), "OK");
}

fn assert_stops(child: Child) {
    let began = Instant::now();
    child.stop();
    assert!(began.elapsed() < STOP_MAX, "{:?}", began.elapsed());
}

#[test]
fn a_standard_error_that_nobody_reads_stops_nothing() {
    let (child, _unread) = Child::start_unread(&TALKATIVE);
    fill(&child);
    assert_alive(&child);
    assert_stops(child);
}

#[test]
fn dropped_lines_are_told_when_somebody_reads_again() {
    for format in ["text", "json"] {
        let variables = [TALKATIVE[0], TALKATIVE[1], ("TURTED_LOG_FORMAT", format)];
        let (child, unread) = Child::start_unread(&variables);
        fill(&child);
        let mut lines = BufReader::new(unread).lines().map(Result::unwrap);
        let told = lines.find(|line| line.contains("log lines were dropped")).unwrap();
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let (_, rest) = told.split_once("lines=").or(told.split_once("\"lines\":")).unwrap();
        let told: usize = digits(rest).parse().unwrap();
        assert!((100..=child.metric(DROPPED)).contains(&told), "{told}");
        let reader = std::thread::spawn(move || lines.collect::<Vec<_>>());
        assert_alive(&child);
        assert_stops(child);
        let last = reader.join().unwrap().pop().unwrap();
        assert!(
            last.contains("closing") || last.contains("stopping"),
            "what is logged last is written: {last}"
        );
    }
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    let (child, unread) = Child::start_unread(&TALKATIVE);
    drop(unread);
    fill(&child);
    assert_alive(&child);
    assert_stops(child);
}

#[test]
fn a_systemd_that_reads_nothing_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let _unread = UnixDatagram::bind(&path).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.set_nonblocking(true).unwrap();
    while filling.send_to(b"x", &path).is_ok() {}
    let path = path.to_str().unwrap();
    let child = Child::start(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000")]);
    assert_alive(&child);
    assert_stops(child);
}

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, impl Fn() -> Stdio) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'x'; PIPE_BYTES]).unwrap();
    (reader, move || writer.try_clone().unwrap().into())
}

#[test]
fn a_program_that_is_started_with_full_pipes_serves_and_stops() {
    let (_unread, full) = full_pipe();
    // Where the program listens, nobody hears from it.
    let [port] = ports::free();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut process = Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["serve", "--listen", &address.to_string(), "--workers", "2"])
        .env_clear()
        .envs([("TURTED_ADMIN_LISTEN", ""), ("TURTED_LOGLEVEL", "debug")])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(Http::connect(address).get("/health").text(), "ok\n");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let began = Instant::now();
    eventually("it ends", || process.try_wait().unwrap().is_some());
    assert!(process.wait().unwrap().success());
    assert!(began.elapsed() < STOP_MAX, "{:?}", began.elapsed());
}
