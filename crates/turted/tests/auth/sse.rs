//! Event streams: who is verified before they begin, and what ends them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;
use turted::config::{ClientAuth, Join};

use crate::backend::{Backend, reply, status, user};
use crate::support::{at, bind, config, hmac_rule, rules, serve, token};

/// Asks for a stream with a token; the status and what follows.
fn ask(address: SocketAddr, query: &str, token: &str, accept: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request =
        format!("GET /sse?{query} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    (line[9..12].to_owned(), stream)
}

fn open(address: SocketAddr, query: &str, token: &str) -> BufReader<TcpStream> {
    let (status, mut stream) = ask(address, query, token, "text/event-stream");
    assert_eq!(status, "200");
    until(&mut stream, "retry: ");
    stream
}

/// Reads up to a line that begins so.
fn until(stream: &mut impl BufRead, start: &str) -> String {
    let mut line = String::new();
    while !line.starts_with(start) {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the end before {start}");
    }
    line
}

#[test]
fn a_token_names_the_user_and_opens_channels_before_the_stream_begins() {
    let mut config = config(ClientAuth::Jwt(Box::new(hmac_rule())));
    config.channels = rules(&[("room", Join::Claim)]);
    let server = bind(config);
    let alice = token(json!({"sub": "alice", "channels": ["room"]}));
    let mut stream = open(server.address(), "channel=room", &alice);
    server.dispatcher().notify_user("alice", "USER", &1).unwrap();
    server.dispatcher().notify_channel("room", "ROOM", &1).unwrap();
    assert_eq!(until(&mut stream, "event: "), "event: USER\n");
    assert_eq!(until(&mut stream, "event: "), "event: ROOM\n");
    let bob = token(json!({"sub": "bob"}));
    assert_eq!(ask(server.address(), "channel=room", &bob, "*/*").0, "403");
    assert_eq!(ask(server.address(), "channel=open", &bob, "*/*").0, "200");
    assert_eq!(ask(server.address(), "", "not.a.token", "text/event-stream").0, "401");
}

#[test]
fn a_stream_ends_when_its_token_expires_and_does_not_begin_after() {
    let mut strict = hmac_rule();
    strict.claims.leeway = Duration::from_millis(1);
    let server = serve(ClientAuth::Jwt(Box::new(strict)));
    let short = token(json!({"sub": "alice", "exp": at(5)}));
    let mut stream = open(server.address(), "channel=c", &short);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("event:"), "{rest}");
    assert_eq!(ask(server.address(), "channel=c", &short, "text/event-stream").0, "401");
}

#[test]
fn a_backend_is_asked_before_the_stream_begins() {
    let backend = Backend::start(|question, stream| {
        std::thread::park_timeout(Duration::from_millis(100));
        assert_eq!(question["transport"], "sse");
        reply(stream, &user(&question["ident"]["token"]))
    });
    let server = serve(backend.method());
    let mut stream = open(server.address(), "channel=c", "alice");
    server.dispatcher().notify_user("alice", "USER", &1).unwrap();
    assert_eq!(until(&mut stream, "event: "), "event: USER\n");
}

#[test]
fn an_event_source_that_cannot_be_verified_now_is_told_to_come_back() {
    let backend = Backend::saying(status("500 Internal Server Error", ""));
    let server = serve(backend.method());
    let (code, mut stream) = ask(server.address(), "", "t", "text/event-stream");
    assert_eq!(code, "200");
    let retry = until(&mut stream, "retry: ");
    let millis: u64 = retry["retry: ".len()..].trim().parse().unwrap();
    assert!((3_000..=6_000).contains(&millis), "{retry}");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\n", "and then it ends");
    // Others understand that it will pass.
    let (code, mut stream) = ask(server.address(), "", "t", "*/*");
    assert_eq!(code, "503");
    until(&mut stream, "retry-after: 1");
}
