//! What a client is told about the messages that one read brought goes out in one write.

use crate::support::{Kind, TestServer, WebSocket, frame};

/// Messages in one write of a client.
fn together(texts: &[String]) -> Vec<u8> {
    texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect()
}

/// Ten messages, each of which is answered.
fn ten(message: impl Fn(usize) -> String) -> Vec<String> {
    (0..10).map(message).collect()
}

fn writes(server: &TestServer) -> usize {
    server.metric("turted_writes_total")
}

#[test]
fn the_replies_to_ten_joins_are_one_write() {
    let server = TestServer::new();
    let joins = [
        ("/ws", "", ten(|number| format!(r#"{{"id":{number},"do":"join","channel":"c{number}"}}"#))),
        (
            "/socket.io/?EIO=4&transport=websocket",
            "40",
            ten(|number| format!(r#"42["JOIN",{{"channel":"c{number}"}}]"#)),
        ),
    ];
    for (path, first, joins) in joins {
        let mut client = WebSocket::connect(server.address(), path, &[]).unwrap();
        client.text().unwrap();
        if !first.is_empty() {
            client.send_text(first);
            client.text().unwrap();
        }
        let before = writes(&server);
        client.send(together(&joins));
        let replies: Vec<_> = (0..10).map(|_| client.text().unwrap()).collect();
        assert!(replies.iter().enumerate().all(|(number, reply)| reply.contains(&format!("c{number}"))));
        assert_eq!(writes(&server) - before, 1, "{path}");
    }
}

#[test]
fn what_was_said_before_the_end_is_answered_before_it() {
    let server = TestServer::new();
    let mut client = WebSocket::connect(server.address(), "/ws", &[]).unwrap();
    client.text().unwrap();
    let mut bytes = together(&ten(|number| format!(r#"{{"id":{number},"do":"ping"}}"#)));
    bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
    client.send(bytes);
    for number in 0..10 {
        assert!(client.text().unwrap().contains(&format!(r#""reply":{number}"#)));
    }
    assert_eq!(client.close_code(), Some(1000));
}

#[test]
fn a_session_that_a_message_ends_is_told_what_came_before() {
    let server = TestServer::new();
    let mut client =
        WebSocket::connect(server.address(), &Kind::V4_WEBSOCKET.target("websocket", ""), &[]).unwrap();
    client.text().unwrap();
    client.send(together(&["40".into(), r#"42["ECHO",1]"#.into(), "42nonsense".into()]));
    assert!(client.text().unwrap().starts_with("40{"));
    assert_eq!(client.text().as_deref(), Some(r#"42["ECHO",1]"#));
    assert_eq!(client.close_code(), Some(1002));
}
