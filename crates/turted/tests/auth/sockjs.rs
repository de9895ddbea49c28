//! SockJS: what waits behind an IDENT that somebody is asked about.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
use turted::config::ClientAuth;
use turted::server::Server;

use crate::support::{Serving, config};

/// Sends a request to the session, on a connection of its own.
fn begin(address: SocketAddr, target: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    let request = format!("POST {target} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The answer, or what came of it before the end.
fn finish(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // A connection that is one too many may be reset.
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The same for a request that is not answered soon. One for which there was no place is sent again.
fn wait_in_line(address: SocketAddr, target: &str, body: &str) -> TcpStream {
    loop {
        let stream = begin(address, target, body);
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        if stream.peek(&mut [0]).is_err() {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            return stream;
        }
    }
}

/// Waits, but not for ever.
fn until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A client could otherwise leave bodies behind without end, and hold no connection for any of them.
#[test]
fn a_body_that_waits_behind_an_ident_goes_with_its_request() {
    let (verifying, allowed) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (asked, answer) = (Arc::clone(&verifying), Arc::clone(&allowed));
    let mut config = config(ClientAuth::Accept);
    config.limits.connections = Some(3);
    let server = Serving::of(
        Server::builder(config)
            .authenticator(move |request: IdentRequest| {
                asked.add_permits(1);
                let answer = Arc::clone(&answer);
                async move {
                    let user = request.user.ok_or(IdentRefusal::UserMissing)?;
                    let _allowed = answer.acquire().await;
                    Ok(Verified::user(user.name))
                }
            })
            .bind()
            .unwrap(),
    );
    let address = server.address();
    assert!(finish(begin(address, "/turted/0/s/xhr", "")).ends_with("\r\n\r\no\n"));
    let send = |message: &str| wait_in_line(address, "/turted/0/s/xhr_send", message);
    let ident = send(r#"["{\"type\":\"ident\",\"data\":{\"username\":\"al\"}}"]"#);
    until(|| verifying.available_permits() == 1);
    let left = send(r#"["{\"type\":\"echo\",\"data\":\"left\"}"]"#);
    let kept = send(r#"["{\"type\":\"echo\",\"data\":\"kept\"}"]"#);
    drop(left);
    // There is a place for one more connection when the server has seen the end of that one.
    until(|| finish(begin(address, "/health", "")).starts_with("HTTP/1.0 200"));
    allowed.add_permits(1);
    for answered in [ident, kept] {
        assert!(finish(answered).starts_with("HTTP/1.0 204"));
    }
    let mut heard = String::new();
    until(|| {
        heard = finish(begin(address, "/turted/0/s/xhr", ""));
        heard.starts_with("HTTP/1.0 200")
    });
    assert!(heard.contains("kept"), "{heard}");
    assert!(!heard.contains("left"), "{heard}");
}
