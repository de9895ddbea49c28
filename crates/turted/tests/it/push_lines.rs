//! `turted push --lines`: standard input as events, over one connection, each line once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use turted::config::Secret;
use turted::server::Server;

use crate::support::{TestServer, config, eventually};

/// A running `turted push --lines`. One that hangs ends with `timeout`.
fn push(address: SocketAddr, variables: &[(&str, &str)]) -> Child {
    Command::new("timeout")
        .arg("60")
        .arg(env!("CARGO_BIN_EXE_turted"))
        .args(["push", "--lines", "--channel", "logs", "--url", &format!("http://{address}/push/"), "LOG"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Ends the input. Returns the exit code and what was said.
fn finish(mut child: Child) -> (i32, String) {
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The payloads that a server accepts.
#[derive(Clone, Default)]
struct Payloads(Arc<Mutex<Vec<String>>>);

impl Payloads {
    fn server(&self, change: impl FnOnce(&mut turted::config::Config)) -> TestServer {
        let mut config = config();
        change(&mut config);
        let server = Server::bind(config).unwrap();
        let seen = Arc::clone(&self.0);
        server.dispatcher().on("LOG", move |dispatch| {
            assert_eq!(dispatch.targets.channels[0].as_str(), "logs");
            seen.lock().unwrap().push(serde_json::from_str(dispatch.payload.get()).unwrap());
        });
        TestServer::run(server)
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait(&self, count: usize) {
        eventually("the lines are accepted", || self.0.lock().unwrap().len() >= count);
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line \"{number}\"")).collect()
}

fn write(child: &mut Child, lines: &[String]) {
    let text = lines.join("\n") + "\n";
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn each_line_is_an_event_with_the_line_as_a_string() {
    let payloads = Payloads::default();
    let server = payloads.server(|_| {});
    let mut child = push(server.address(), &[]);
    write(&mut child, &lines(0..3));
    payloads.wait(3);
    write(&mut child, &lines(3..5_000));
    child.stdin.as_mut().unwrap().write_all(b"\n\r\nlast, without an end").unwrap();
    assert_eq!(finish(child), (0, String::new()));
    let mut expected = lines(0..5_000);
    expected.extend([String::new(), String::new(), "last, without an end".to_owned()]);
    assert_eq!(payloads.get(), expected);
    let pushes = server.metric("turted_push_duration_seconds_count");
    assert!(pushes < 2_500, "{pushes} pushes: lines that are there go together");
}

#[test]
fn lines_wait_for_a_server_that_is_not_there() {
    let payloads = Payloads::default();
    let server = payloads.server(|_| {});
    let address = server.address();
    let mut child = push(address, &[]);
    write(&mut child, &lines(0..3));
    payloads.wait(3);
    server.stop();
    write(&mut child, &lines(3..6));
    let mut said = [0; 64];
    let read = child.stderr.as_mut().unwrap().read(&mut said).unwrap();
    assert!(read > 0, "it tells that it waits");
    let server = payloads.server(|config| config.listen = address);
    payloads.wait(6);
    let (code, said) = finish(child);
    assert!(code == 0 && said.ends_with("turted: the server answers again\n"), "{code} {said}");
    assert_eq!(payloads.get(), lines(0..6));
    server.stop();
}

#[test]
fn lines_wait_while_the_server_has_no_room() {
    let payloads = Payloads::default();
    let server = payloads.server(|config| {
        config.limits.idempotency_keys = 1;
        config.limits.idempotency_age = Duration::from_millis(200);
    });
    let mut child = push(server.address(), &[]);
    for number in 0..3 {
        write(&mut child, &lines(number..number + 1));
        payloads.wait(number + 1);
    }
    let (code, said) = finish(child);
    assert!(code == 0 && said.contains("503 Service Unavailable"), "{code} {said}");
    assert_eq!(payloads.get(), lines(0..3));
}

/// Passes the first request on and gives no answer; then passes everything on.
fn forgetful(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            if number > 0 {
                let _ = std::io::copy(&mut server, &mut client);
            } else {
                let _ = server.read(&mut [0; 1024]);
            }
            let _ = client.shutdown(Shutdown::Both);
        }
    });
    address
}

#[test]
fn a_push_whose_answer_is_lost_is_repeated_and_dispatched_once() {
    let payloads = Payloads::default();
    let server = payloads.server(|_| {});
    let mut child = push(forgetful(server.address()), &[]);
    write(&mut child, &lines(0..3));
    let (code, said) = finish(child);
    assert!(code == 0 && said.contains("no answer from"), "{code} {said}");
    assert_eq!(payloads.get(), lines(0..3));
}

#[test]
fn a_line_that_cannot_be_pushed_is_left_out_and_told() {
    let payloads = Payloads::default();
    let server = payloads.server(|config| config.limits.push_body_bytes = 50_000);
    let mut child = push(server.address(), &[]);
    let input = child.stdin.as_mut().unwrap();
    input.write_all(format!("one\n{}\n", "x".repeat(60_000)).as_bytes()).unwrap();
    input.write_all(b"\xff\ntwo\n").unwrap();
    input.write_all(format!("{}\nthree\n", "x".repeat(200_000)).as_bytes()).unwrap();
    let (code, said) = finish(child);
    assert_eq!(code, 1, "{said}");
    assert_eq!(payloads.get(), ["one", "two", "three"]);
    // The answer may be lost, because the server closes while it is sent.
    assert!(said.contains("line 2 is left out: ") && said.contains("(limits.push_body_bytes)"), "{said}");
    assert!(said.contains("line 3 is left out: it is no text in UTF-8"), "{said}");
    assert!(said.contains("line 5 is left out: it has more than 102400 bytes"), "{said}");
}

#[test]
fn a_wrong_password_ends_it_at_once() {
    let server = TestServer::with(|config| config.push.password = Some(Secret::from("right")));
    let mut child = push(server.address(), &[("TURTED_PUSH_PASSWORD", "wrong")]);
    write(&mut child, &lines(0..3));
    let (code, said) = finish(child);
    assert!(code == 1 && said.starts_with("turted: refused, 401"), "{code} {said}");
}
