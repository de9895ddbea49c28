//! A transport is one file and one line, and so is a push connector: here are one of each, which touch no other
//! module. They are served beside everything that turted serves.
//!
//! | file | what |
//! |---|---|
//! | `echo` | the transport |
//! | `bell` | the push connector |
//! | `nodes` | several servers that pass requests on to each other |

mod echo;
mod bell;
mod nodes;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use super::*;
use crate::config::AllowOrigins;

fn start() -> Server {
    start_with(Config::default())
}

fn start_with(config: Config) -> Server {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let admin =
        crate::config::Admin { listen: crate::config::AdminListen::Off, token: None, write_token: None };
    let config = Config { listen, admin, workers: 1, ..config };
    let endpoints =
        |site: &Site<'_>| routes::turted(site).with(Arc::new(echo::Echo)).with(Arc::new(bell::Bell));
    Server::builder(config).endpoints(endpoints).bind().unwrap()
}

/// Asks for a WebSocket, with a header beside the usual ones. Returns the socket and the head of the answer.
fn ask(server: &Server, header: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let handshake = format!(
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
    );
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    (stream, String::from_utf8(answer).unwrap())
}

fn connect(server: &Server) -> WebSocket<TcpStream> {
    let (stream, answer) = ask(server, "");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

fn get(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_transport_of_one_file_echoes_and_receives_what_is_pushed() {
    let server = start();
    let mut client = connect(&server);
    client.send(Message::text("hello")).unwrap();
    assert_eq!(client.read().unwrap().into_text().unwrap(), "hello");
    server.dispatcher().broadcast("NEWS", &1).unwrap();
    let event = client.read().unwrap().into_text().unwrap();
    assert!(event.contains(r#""event":"NEWS""#), "{event}");
}

#[test]
fn a_transport_of_one_file_refuses_pages_of_other_origins() {
    let server = start_with(Config { allow_origins: AllowOrigins::Only(Vec::new()), ..Config::default() });
    let (_, answer) = ask(&server, "Origin: http://evil.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    connect(&server);
}

#[test]
fn a_transport_of_one_file_ends_a_client_that_sends_too_much() {
    let mut config = Config::default();
    (config.limits.message_burst, config.limits.message_rate) = (1, 1);
    let server = start_with(config);
    let mut client = connect(&server);
    (0..10).for_each(|_| client.send(Message::text("hello")).unwrap());
    let end = std::iter::repeat_with(|| client.read().unwrap()).find(Message::is_close).unwrap();
    let Message::Close(Some(frame)) = end else { panic!("no close code") };
    assert_eq!(u16::from(frame.code), 1008);
}

#[test]
fn a_transport_of_one_file_ends_a_client_that_answers_no_heartbeat() {
    let mut config = Config::default();
    config.websocket.ping_interval = Duration::from_millis(20);
    config.websocket.ping_timeout = Duration::from_millis(20);
    let server = start_with(config);
    let (mut client, _) = ask(&server, "");
    let mut frames = Vec::new();
    client.read_to_end(&mut frames).unwrap();
    assert_eq!(frames[..1], [0x89], "a ping, and then the end");
}

#[test]
fn a_connector_of_one_file_pushes_to_every_transport() {
    let server = start();
    let mut client = connect(&server);
    assert!(get(&server, "/ring").starts_with("HTTP/1.1 200 OK\r\n"));
    let event = client.read().unwrap().into_text().unwrap();
    assert!(event.contains(r#""event":"RING""#), "{event}");
    let dispatcher = server.dispatcher();
    assert_eq!((dispatcher.accepted(&Source::Embed), dispatcher.accepted(&Source::Rest)), (1, 0));
}

#[test]
fn what_turted_serves_is_served_beside_them() {
    let server = start();
    assert!(get(&server, "/health").ends_with("\r\n\r\nok\n"));
    assert!(get(&server, "/nothing").starts_with("HTTP/1.1 404 "));
}
