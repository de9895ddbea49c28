//! The generator's clients, tested with the wires of the server.

use std::time::Duration;

use serde_json::value::RawValue;
use turted_core::command::Command;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::name::Name;
use turted_core::reply::Reply;
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Opcode, encode_frame};
use turted_core::wire::{chunked, legacy, sockjs as wire, sse, v1};

use super::*;
use crate::protocol::Again;

const CURSOR: Option<Cursor> = Some(Cursor { epoch: 255, sequence: 36 });

fn client(transport: Transport) -> Conversation {
    open(transport, &Speech::default(), Recall::Nothing)
}

/// A client that wants to join a channel.
fn conversation(transport: Transport, speech: &Arc<Speech>, recall: Recall) -> Conversation {
    Conversation::new(transport, speech, (Some("c".into()), vec![Ask::Join("c".into())]), recall)
}

/// A client whose connection is open.
fn open(transport: Transport, speech: &Speech, recall: Recall) -> Conversation {
    let mut client = conversation(transport, &Arc::new(speech.clone()), recall);
    let status = if transport == Transport::Sse { "200 OK" } else { "101 Switching Protocols" };
    let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let (result, said, events) = play(&mut client, head.as_bytes());
    assert_eq!((result, said, events), (Ok(head.len()), vec![], vec![]));
    client
}

/// Passes bytes to the client: the result, what it sends, and the events in them.
fn play(client: &mut Conversation, input: &[u8]) -> (Result<usize, Broken>, Vec<String>, Vec<String>) {
    let (mut out, mut events) = (Vec::new(), Vec::new());
    let result = client.receive(input, &mut out, &mut |event| events.push(string(event)));
    (result, said(&mut out), events)
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The texts and pongs that a client sent.
fn said(out: &mut [u8]) -> Vec<String> {
    let mut decoder = Decoder::new(DecoderLimits { message_bytes: 65_536, fragments: 1 });
    let (mut rest, mut all) = (out, Vec::new());
    while let Some(decoded) = decoder.decode(rest).unwrap() {
        match decoded.message {
            Some(Message::Text(text)) => all.push(text.to_owned()),
            Some(other) => all.push(format!("{other:?}")),
            None => {}
        }
        let used = decoded.consumed;
        rest = &mut rest[used..];
    }
    all
}

fn text(message: &str) -> Vec<u8> {
    encode_frame(Opcode::Text, message.as_bytes())
}

fn dispatch() -> Dispatch {
    let payload = RawValue::from_string(r#""~00000007""#.to_owned()).unwrap();
    Dispatch { event: Name::new("BENCH").unwrap(), payload, targets: Targets::broadcast() }
}

fn refused(client: &mut Conversation, answer: &str) {
    let result = play(client, &text(answer)).0;
    assert!(matches!(result, Err(Broken::Refused(_))), "{result:?}");
}

#[test]
fn a_socketio_client_connects_joins_receives_and_answers_heartbeats() {
    let mut client = client(Transport::SocketIo);
    assert_eq!(play(&mut client, &text(r#"0{"sid":"s"}"#)).1, ["40"]);
    assert_eq!(play(&mut client, &text(r#"40{"sid":"s"}"#)).1, [r#"42["JOIN",{"channel":"c"}]"#]);
    assert!(!client.is_ready());
    play(&mut client, &text(r#"42["OK",{"channel":"c"}]"#)).0.unwrap();
    assert!(client.is_ready());
    let both = [text(r#"42["EVENT",{}]"#), text("2")].concat();
    let expected = (Ok(both.len()), vec!["3".to_owned()], vec![r#"42["EVENT",{}]"#.to_owned()]);
    assert_eq!(play(&mut client, &both), expected);
    assert_eq!(play(&mut client, &text("1")).0, Err(Broken::Closed));
}

#[test]
fn a_v1_client_waits_for_its_welcome_joins_and_receives() {
    let mut client = client(Transport::WebSocket);
    let welcome = v1::Welcome {
        session: "s",
        cursor: CURSOR,
        identified: None,
        connection: "C",
        ping_interval: Duration::from_secs(25),
        message_bytes: 65_536,
    };
    let said = play(&mut client, &text(&welcome.to_json())).1;
    let request = v1::decode(&said[0]).unwrap();
    let channel = Name::new("c").unwrap();
    let reply = v1::encode_reply(request.id, &Reply::Joined(&channel)).unwrap();
    assert!(!client.is_ready());
    play(&mut client, &text(&reply)).0.unwrap();
    assert!(client.is_ready());
    let event = v1::encode_dispatch(&dispatch(), Via::Channel(&channel), CURSOR);
    assert_eq!(play(&mut client, &text(&event)).2, [event]);
    let ping = encode_frame(Opcode::Ping, b"p");
    assert_eq!(play(&mut client, &ping).1.len(), 1);
    assert_eq!(play(&mut client, &encode_frame(Opcode::Close, b"")).0, Err(Broken::Closed));
}

/// A client that asks for these, once the server waits for what it asks for.
fn asking(transport: Transport, asks: Vec<Ask>) -> (Conversation, Vec<String>) {
    let mut client = Conversation::new(transport, &Arc::default(), (None, asks), Recall::Nothing);
    let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let greetings = match transport {
        Transport::WebSocket => vec![r#"{"welcome":{}}"#],
        _ => vec!["0{}", r#"40{"sid":"s"}"#],
    };
    let mut said = play(&mut client, head).1;
    for greeting in greetings {
        said = play(&mut client, &text(greeting)).1;
    }
    (client, said)
}

#[test]
fn all_that_a_client_asks_for_is_said_at_once_and_it_is_ready_when_all_of_it_is_granted() {
    let joins = || vec![Ask::Join("a".into()), Ask::Join("b".into())];
    let (mut client, said) = asking(Transport::SocketIo, joins());
    assert_eq!(said, [r#"42["JOIN",{"channel":"a"}]"#, r#"42["JOIN",{"channel":"b"}]"#]);
    play(&mut client, &text(r#"42["OK",{"channel":"a"}]"#)).0.unwrap();
    assert!(!client.is_ready());
    play(&mut client, &text(r#"42["OK",{"channel":"b"}]"#)).0.unwrap();
    assert!(client.is_ready());

    let (mut client, said) = asking(Transport::WebSocket, joins());
    let ids: Vec<_> = said.iter().map(|request| v1::decode(request).unwrap().id.unwrap().as_json()).collect();
    assert_eq!(ids, ["1", "2"]);
    play(&mut client, &text(r#"{"reply":1,"ok":true}"#)).0.unwrap();
    assert!(!client.is_ready());
    refused(&mut client, r#"{"reply":2,"ok":false}"#);
    let (mut client, _) = asking(Transport::WebSocket, joins());
    let both = [text(r#"{"reply":1,"ok":true}"#), text(r#"{"reply":2,"ok":true}"#)].concat();
    play(&mut client, &both).0.unwrap();
    assert!(client.is_ready());
}

#[test]
fn a_client_says_which_user_it_is() {
    let (mut client, said) = asking(Transport::SocketIo, vec![Ask::Ident("u".into())]);
    assert_eq!(said, [r#"42["IDENT",{"username":"u"}]"#]);
    refused(&mut client, r#"42["ERROR","no"]"#);
    let (_, said) = asking(Transport::WebSocket, vec![Ask::Ident("u".into())]);
    let request = v1::decode(&said[0]).unwrap();
    assert!(matches!(request.action, v1::Action::Command(Command::Ident(_))), "{request:?}");
    for transport in [Transport::SocketIo, Transport::WebSocket] {
        let (client, said) = asking(transport, vec![]);
        assert!(client.is_ready() && said.iter().all(|said| !said.contains("JOIN")), "{said:?}");
    }
}

#[test]
fn a_websocket_takes_over_when_it_was_probed_and_no_poll_waits() {
    let mut client = conversation(Transport::Polling, &Arc::default(), Recall::Nothing);
    let said = play(&mut client, b"HTTP/1.1 101 Switching Protocols\r\n\r\n").1;
    assert_eq!(said, ["2probe"]);
    assert!(!client.is_probed());
    assert_eq!(play(&mut client, &text("3probe")).1, [""; 0]);
    assert!(client.is_probed() && !client.is_ready());
    let mut out = Vec::new();
    client.upgrade(&mut out);
    assert_eq!(self::said(&mut out), ["5", r#"42["JOIN",{"channel":"c"}]"#]);
    assert!(!client.is_probed());
    play(&mut client, &text(r#"42["OK",{"channel":"c"}]"#)).0.unwrap();
    assert!(client.is_ready());
}

#[test]
fn a_sockjs_client_joins_and_receives_every_message_of_a_frame() {
    let mut client = client(Transport::SockJs);
    let said = play(&mut client, &text(wire::OPEN)).1;
    let requests: Vec<String> = serde_json::from_str(&said[0]).unwrap();
    assert!(requests.iter().all(|request| legacy::decode(request).is_ok()), "{requests:?}");
    assert!(!client.is_ready());
    let echo = legacy::encode_reply(&Reply::Echo(None)).unwrap();
    play(&mut client, &text(&wire::encode_messages([&*echo]))).0.unwrap();
    assert!(client.is_ready());
    let event = legacy::encode_dispatch(&dispatch(), Via::Broadcast);
    let events = play(&mut client, &text(&wire::encode_messages([&*event, &*event]))).2;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.contains("~00000007")), "{events:?}");
    assert_eq!(play(&mut client, &text(wire::HEARTBEAT)), (Ok(3), vec![], vec![]));
    assert_eq!(play(&mut client, &text(r#"c[3000,"Go away!"]"#)).0, Err(Broken::Closed));
}

#[test]
fn an_sse_client_is_ready_when_its_stream_starts() {
    let mut client = client(Transport::Sse);
    assert!(!client.is_ready());
    let chunk = |text: String| {
        let mut body = Vec::new();
        chunked::encode_chunk(text.as_bytes(), &mut body);
        body
    };
    let start = chunk(sse::encode_start(Duration::from_secs(3), CURSOR));
    assert_eq!(play(&mut client, &start), (Ok(start.len()), vec![], vec![]));
    assert!(client.is_ready());
    let event = sse::encode_event(&dispatch(), CURSOR);
    assert_eq!(play(&mut client, &chunk(event.clone())).2, [event.trim_end()]);
    assert_eq!(play(&mut client, &chunk(sse::encode_heartbeat(None))).2, [""; 0]);
    assert_eq!(play(&mut client, chunked::LAST_CHUNK).0, Err(Broken::Closed));
}

#[test]
fn a_plain_client_takes_every_text_for_an_event() {
    let mut client = client(Transport::Plain);
    assert!(client.is_ready());
    assert_eq!(play(&mut client, &text("x")).2, ["x"]);
}

#[test]
fn a_client_that_is_refused_says_so() {
    let mut socketio = client(Transport::SocketIo);
    play(&mut socketio, &text(r#"0{"sid":"s"}"#)).0.unwrap();
    refused(&mut socketio, r#"44{"message":"no"}"#);
    let mut v1 = client(Transport::WebSocket);
    play(&mut v1, &text(r#"{"welcome":{}}"#)).0.unwrap();
    refused(&mut v1, r#"{"reply":1,"ok":false,"error":{}}"#);
    let mut sockjs = client(Transport::SockJs);
    play(&mut sockjs, &text("o")).0.unwrap();
    refused(&mut sockjs, r#"a["{\"type\":\"ERR\",\"data\":{}}"]"#);
    let mut sse = Conversation::new(Transport::Sse, &Arc::default(), (None, vec![]), Recall::Nothing);
    let status = play(&mut sse, b"HTTP/1.1 404 Not Found\r\n\r\n").0;
    assert_eq!(status, Err(Broken::Refused("HTTP/1.1 404 Not Found".into())));
}

#[test]
fn each_transport_asks_for_its_path() {
    let request = |transport: Transport, path, channel| {
        let to = Destination {
            authority: "h",
            path,
            speech: &Speech::default(),
            memory: None,
            channel,
            session: None,
            index: 7,
        };
        let request = string(&transport.request(&to));
        request.split(' ').nth(1).unwrap().to_owned()
    };
    let default = |transport: Transport| request(transport, transport.default_path(), Some("c"));
    assert_eq!(default(Transport::SocketIo), "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(default(Transport::Polling), "/socket.io/?EIO=4&transport=polling");
    assert_eq!(default(Transport::WebSocket), "/ws");
    assert_eq!(default(Transport::Sse), "/sse?channel=c");
    assert_eq!(request(Transport::Sse, "/sse", None), "/sse");
    assert_eq!(request(Transport::Plain, "/sub/{channel}", Some("c")), "/sub/c");
    let sockjs = default(Transport::SockJs);
    let route = wire::Route::parse(sockjs.strip_prefix("/turted").unwrap());
    let is_websocket =
        matches!(route, Some(wire::Route::Receive { transport: wire::Transport::WebSocket, .. }));
    assert!(is_websocket, "{sockjs}");
}

/// A client that has come back with these values.
fn back(transport: Transport, values: &[(&str, &str)]) -> Conversation {
    let mut memory = Memory::default();
    values.iter().for_each(|(name, value)| memory.note(name, value.as_bytes()));
    open(transport, &Speech::default(), Recall::Back(memory))
}

fn kept(client: Conversation, names: [&str; 2]) -> [Option<String>; 2] {
    let memory = client.into_memory();
    names.map(|name| memory.get(name).map(str::to_owned))
}

#[test]
fn a_socketio_client_comes_back_with_its_session_and_its_position() {
    let mut first = open(Transport::SocketIo, &Speech::default(), Recall::Keeps(Memory::default()));
    for packet in ["0{}", r#"40{"sid":"s","pid":"p"}"#, r#"42["OK",{}]"#, r#"42["EVENT",{"a":"b"},"7-1"]"#] {
        play(&mut first, &text(packet)).0.unwrap();
    }
    assert_eq!(kept(first, ["pid", "offset"]), [Some("p".into()), Some("7-1".into())]);

    let mut known = back(Transport::SocketIo, &[("pid", "p"), ("offset", "7-1")]);
    assert_eq!(play(&mut known, &text("0{}")).1, [r#"40{"pid":"p","offset":"7-1"}"#]);
    assert_eq!(play(&mut known, &text(r#"40{"sid":"s","pid":"p"}"#)).1, [""; 0]);
    assert!(known.is_ready());

    let mut unknown = back(Transport::SocketIo, &[("pid", "p")]);
    assert_eq!(play(&mut unknown, &text("0{}")).1, [r#"40{"pid":"p"}"#]);
    let said = play(&mut unknown, &text(r#"40{"sid":"t","pid":"q"}"#)).1;
    assert_eq!(said, [r#"42["JOIN",{"channel":"c"}]"#]);
    play(&mut unknown, &text(r#"42["reconnect","7-9"]"#)).0.unwrap();
    assert!(!unknown.is_ready());
}

#[test]
fn a_v1_client_resumes_or_joins_anew() {
    let welcome = r#"{"welcome":{"protocol":"turted.v1","session":"s","cursor":"7-1"}}"#;
    let mut first = open(Transport::WebSocket, &Speech::default(), Recall::Keeps(Memory::default()));
    for message in [welcome, r#"{"reply":1,"ok":true}"#, r#"{"event":"E","payload":1,"cursor":"7-2"}"#] {
        play(&mut first, &text(message)).0.unwrap();
    }
    assert_eq!(kept(first, ["session", "cursor"]), [Some("s".into()), Some("7-2".into())]);

    let values = [("session", "s"), ("cursor", "7-2")];
    let mut known = back(Transport::WebSocket, &values);
    let said = play(&mut known, &text(welcome)).1;
    assert_eq!(said, [r#"{"id":1,"do":"resume","session":"s","cursor":"7-2"}"#]);
    v1::decode(&said[0]).unwrap();
    play(&mut known, &text(r#"{"reply":1,"ok":true,"session":"s"}"#)).0.unwrap();
    assert!(known.is_ready());

    let mut unknown = back(Transport::WebSocket, &values);
    play(&mut unknown, &text(welcome)).0.unwrap();
    let said = play(&mut unknown, &text(r#"{"reply":1,"ok":false,"error":{"code":"gap"}}"#)).1;
    assert_eq!(said, [r#"{"id":2,"do":"join","channel":"c"}"#]);
    play(&mut unknown, &text(r#"{"reply":2,"ok":true}"#)).0.unwrap();
    assert!(unknown.is_ready());
}

#[test]
fn a_client_of_others_says_again_what_it_kept_and_takes_what_the_answer_brings() {
    let speech = Speech {
        says: vec!["sub".into()],
        awaits: vec!["subbed".into()],
        keeps: vec!["at=offset:".parse().unwrap()],
        again: Again { says: vec!["{channel} from {at}".into()], ..Again::default() },
        ..Speech::default()
    };
    let speech = Arc::new(speech);
    let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let recall = Recall::Keeps(Memory::default());
    let mut first = conversation(Transport::Plain, &speech, recall);
    assert_eq!(play(&mut first, switched).1, ["sub"]);
    play(&mut first, &text("subbed offset:1")).0.unwrap();
    play(&mut first, &text("~00000001 offset:2")).0.unwrap();
    let recall = Recall::Back(first.into_memory());
    let mut again = conversation(Transport::Plain, &speech, recall);
    assert_eq!(play(&mut again, switched).1, ["c from 2"]);
    assert_eq!(play(&mut again, &text("subbed ~00000002 ~00000003")).2, ["subbed ~00000002 ~00000003"]);
}

#[test]
fn an_event_source_asks_again_with_its_last_id() {
    let speech = Speech {
        keeps: vec!["id=id: ".parse().unwrap()],
        again: Again {
            path: Some("/again/{id}?channel={channel}".into()),
            headers: vec!["Last-Event-ID: {id}".parse().unwrap()],
            ..Again::default()
        },
        ..Speech::default()
    };
    let mut memory = Memory::default();
    memory.note("id", b"7-1");
    let to = Destination {
        authority: "h",
        path: "/sse",
        speech: &speech,
        memory: Some(&memory),
        channel: Some("c"),
        session: None,
        index: 7,
    };
    let request = string(&Transport::Sse.request(&to));
    assert!(request.starts_with("GET /again/7-1?channel=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nlast-event-id: 7-1\r\n"), "{request}");
    let first = string(&Transport::Sse.request(&Destination { memory: None, ..to }));
    assert!(first.starts_with("GET /sse?channel=c ") && !first.contains("last-event-id"), "{first}");
}
