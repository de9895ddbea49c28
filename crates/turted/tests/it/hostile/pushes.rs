//! Push bodies that make no sense.

use serde_json::json;

use super::VALUES;
use crate::support::{Kind, TestServer};

#[test]
fn pushes_that_killed_the_node_server_are_answered() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let with = |fields: &str| format!(r#"{{"auth":"tiger",{fields}}}"#);
    let cases = [
        ("null".to_owned(), 400, "Data was not json"),
        (String::new(), 400, "Data was not json"),
        ("{".to_owned(), 400, "Data was not json"),
        ("\u{feff}{}".to_owned(), 400, "Data was not json"),
        (r#"{"auth":{"hasOwnProperty":1}}"#.to_owned(), 401, "Wrong auth data"),
        ("{}".to_owned(), 401, "Wrong auth data"),
        ("7".to_owned(), 401, "Wrong auth data"),
        (with(r#""event":"e","targets":{"hasOwnProperty":1}"#), 400, ""),
        (with(r#""event":"error","targets":{"broadcast":true}"#), 200, "OK"),
        (
            with(r#""event":"constructor","targets":{"users":["__proto__"],"channels":["constructor"]}"#),
            200,
            "OK",
        ),
    ];
    for (body, status, text) in cases {
        let response = server.push(&body);
        assert_eq!(response.status, status, "{body}: {}", response.text());
        assert!(text.is_empty() || response.text() == text, "{body}: {}", response.text());
    }
}

#[test]
fn a_body_that_is_no_utf8_is_no_json() {
    let server = TestServer::new();
    for body in [
        &b"{\"event\":\"\xFF\"}"[..],
        b"\xFF",
        b"{\"event\":\"e\",\"payload\":\"\xED\xA0\x80\"}",
        b"\xEF\xBB\xBF{}",
    ] {
        let response = server.push(body);
        assert_eq!((response.status, response.text()), (400, "Data was not json"));
    }
    server.assert_alive();
}

#[test]
fn every_json_type_in_every_field_is_judged() {
    let server = TestServer::new();
    let mut http = server.http();
    let mut status = |body: &str| http.post("/push/", &[], body).status;
    for value in VALUES {
        let is_name = matches!(value, r#""x""# | r#""__proto__""#);
        let is_integer = matches!(value, "0" | "1" | "-1" | "123456789012345678901234567890");
        let is_payload = 200;
        let refused = |good: bool| if good { 200 } else { 400 };
        assert_eq!(status(value), 400, "{value}");
        assert_eq!(status(&format!(r#"{{"event":{value}}}"#)), refused(is_name), "event {value}");
        assert_eq!(status(&format!(r#"{{"event":"e","payload":{value}}}"#)), is_payload, "payload {value}");
        assert_eq!(
            status(&format!(r#"{{"event":"e","auth":{value}}}"#)),
            200,
            "auth {value} is looked at by nobody"
        );
        let targets = matches!(value, "null" | "[]" | "{}");
        assert_eq!(
            status(&format!(r#"{{"event":"e","targets":{value}}}"#)),
            refused(targets),
            "targets {value}"
        );
        let broadcast = matches!(value, "null" | "true" | "false" | "0" | "1" | r#""""#);
        let body = format!(r#"{{"event":"e","targets":{{"broadcast":{value}}}}}"#);
        assert_eq!(status(&body), refused(broadcast), "broadcast {value}");
        for key in ["users", "channels"] {
            let body = format!(r#"{{"event":"e","targets":{{"{key}":[{value}]}}}}"#);
            assert_eq!(status(&body), refused(is_name || is_integer), "{body}");
            let list = is_name
                || is_integer
                || matches!(
                    value,
                    "null" | "[]" | r#"["x"]"# | "{}" | r#"{"hasOwnProperty":1}"# | r#"{"length":1}"#
                );
            let body = format!(r#"{{"event":"e","targets":{{"{key}":{value}}}}}"#);
            assert_eq!(status(&body), refused(list), "{body}");
        }
        assert_eq!(status(&format!(r#"{{"cmd":{value},"data":{{"event":"e"}}}}"#)), 400, "cmd {value}");
    }
    server.assert_alive();
}

#[test]
fn control_characters_in_names_are_refused() {
    let server = TestServer::new();
    for character in ['\r', '\n', '\0', '\u{7f}', '\u{85}', '\u{1e}'] {
        let name = format!("a{character}b");
        for body in [
            json!({"event": name}),
            json!({"event": "e", "targets": {"users": [name]}}),
            json!({"event": "e", "targets": {"channels": name}}),
        ] {
            let response = server.push(body.to_string());
            assert_eq!(response.status, 400, "{body}");
            assert!(response.text().contains("control characters"), "{}", response.text());
        }
    }
    let name = "two\u{2028}lines";
    let mut client = server.client(Kind::V4_WEBSOCKET);
    assert_eq!(server.push(json!({"event": name, "targets": {"broadcast": true}}).to_string()).text(), "OK");
    assert_eq!(client.event().name, name, "a line separator ends no line of ours");
}

#[test]
fn broadcast_false_is_no_broadcast_and_a_string_is_one_name() {
    let server = TestServer::new();
    for kind in Kind::PLAIN {
        let mut bob = server.client(kind);
        let mut letter = server.client(kind);
        bob.ask("IDENT", r#"{"username":"bob"}"#);
        letter.ask("IDENT", r#"{"username":"b"}"#);
        for targets in
            [json!({"broadcast": false}), json!({"broadcast": null}), json!({}), json!({"users": "bob"})]
        {
            let push = json!({"event": "e", "targets": targets, "payload": targets});
            assert_eq!(server.push(push.to_string()).text(), "OK");
        }
        server.dispatcher().broadcast("last", &0).unwrap();
        let received = bob.events_until("last");
        assert_eq!(received.len(), 1, "{kind:?}");
        assert_eq!(received[0].via, json!({"user": "bob"}));
        assert_eq!(letter.events_until("last").len(), 0);
        bob.leave();
        letter.leave();
    }
}

#[test]
fn a_payload_is_forwarded_as_it_was_sent() {
    let server = TestServer::new();
    let payloads = [
        "0",
        "false",
        r#""""#,
        "null",
        "[]",
        "{}",
        "1.0",
        "1e400",
        "-0",
        "123456789012345678901234567890",
        r#"{"a":1,"a":2}"#,
        r#"{"2":0,"1":0}"#,
        r#""\u00e9\/x\ud800""#,
        "\"\u{2028}\u{1e}é😀\"",
        r#"{ "spaced" : [ 1 , 2 ] }"#,
        r#"{"_placeholder":true,"num":0}"#,
        "[1,\n2]",
    ];
    for kind in Kind::PLAIN {
        let mut client = server.client(kind);
        for payload in payloads.iter().filter(|payload| !payload.contains('\u{1e}')) {
            let push = format!(r#"{{"event":"e","targets":{{"broadcast":true}},"payload":{payload}}}"#);
            assert_eq!(server.push(push).text(), "OK");
            let packet = client.receive().unwrap();
            let expected =
                format!(r#"42["EVENT",{{"event":"e","payload":{payload},"via":{{"broadcast":true}}}}"#);
            assert!(packet.starts_with(&expected), "{kind:?}: {packet}");
        }
        assert_eq!(server.push(r#"{"event":"e","targets":{"broadcast":true}}"#).text(), "OK");
        assert!(client.receive().unwrap().contains(r#""payload":{},"#), "a missing payload is an object");
        client.leave();
    }
}

#[test]
fn a_record_separator_in_a_payload_is_no_json() {
    let server = TestServer::new();
    assert_eq!(server.push("{\"event\":\"e\",\"payload\":\"\u{1e}\"}").text(), "Data was not json");
}

#[test]
fn only_the_route_itself_is_the_route() {
    let server = TestServer::new();
    let mut http = server.http();
    let push = r#"{"event":"e","targets":{"broadcast":true}}"#;
    for target in [
        "/x?y=/push/",
        "/any/push/thing",
        "/push/x",
        "/pushy",
        "/",
        "//push/",
        "/push//",
        "/PUSH/",
        "/%70ush/x",
    ] {
        assert_eq!(http.post(target, &[], push).status, 404, "{target}");
    }
    for target in ["/push", "/push/", "/push?x", "/push/?x=/socket.io/"] {
        assert_eq!(http.post(target, &[], push).text(), "OK", "{target}");
    }
}

#[test]
fn the_old_form_of_a_push_is_taken() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V3_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"u"}"#);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    let data = |fields: &str| format!(r#"{{"event":"e","payload":1,{fields}}}"#);
    for (cmd, fields, via) in [
        ("notifyUser", r#""user":"u""#, json!({"user": "u"})),
        ("notifyUser", r#""user":["u"]"#, json!({"user": "u"})),
        ("notify", r#""users":["u"]"#, json!({"user": "u"})),
        ("notifyChannel", r#""channel":"c""#, json!({"channel": "c"})),
        ("notifyChannel", r#""channels":["c"]"#, json!({"channel": "c"})),
        ("notifyAll", r#""x":1"#, json!({"broadcast": true})),
    ] {
        let push = format!(r#"{{"cmd":"{cmd}","password":"any","data":{}}}"#, data(fields));
        assert_eq!(server.push(&push).text(), "OK", "{push}");
        assert_eq!(client.event().via, via, "{push}");
    }
    assert_eq!(server.push(r#"{"cmd":"notifyAll"}"#).text(), "data missing");
}
