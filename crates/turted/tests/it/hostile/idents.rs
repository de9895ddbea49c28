//! Guessing who somebody is: every way to IDENT counts, and every way is closed.

use turted::config::ClientAuth;

use super::guesses::from;
use crate::support::{Client, Kind, TestServer, WebSocket};

const WRONG: &str = r#"{"username":"u","password":"lion"}"#;
const RIGHT: &str = r#"{"username":"u","password":"tiger"}"#;
const NOT_VERIFIED: &str = r#"42["ERROR","IDENT not verified""#;
const TOO_MANY: &str = r#"42["ERROR","too many wrong IDENTs from this address (limits.wrong_idents)""#;
const LIMIT: usize = 3;

/// What an IDENT is answered, sent as a command.
fn command(server: &TestServer, kind: Kind, data: &str) -> String {
    let mut client = server.client(kind);
    let answer = client.ask("IDENT", data);
    client.leave();
    answer
}

/// What an IDENT is answered that came with the handshake.
fn handshake(server: &TestServer, kind: Kind, data: &str) -> String {
    if kind.version == 4 {
        return Client::connect_with(server.address(), kind, &format!("40{data}")).reply().unwrap();
    }
    let password = if data == RIGHT { "tiger" } else { "lion" };
    let kind_target = kind.target("polling", "");
    let mut http = server.http();
    let opened = http.get(&format!("{kind_target}&username=u&password={password}"));
    let (_, rest) = opened.text().split_once(r#""sid":""#).unwrap();
    let (sid, _) = rest.split_once('"').unwrap();
    let answer = http.get(&kind.target("polling", sid));
    answer.text().split_once(':').unwrap().1.to_owned()
}

/// What turted.v1 answers an `ident`, in the words of the others.
fn v1_command(server: &TestServer, _: Kind, data: &str) -> String {
    let mut socket = WebSocket::connect(server.address(), "/ws", &[]).unwrap();
    assert!(socket.text().unwrap().starts_with(r#"{"welcome":"#));
    socket.send_text(format!(r#"{{"id":1,"do":"ident","data":{data}}}"#));
    v1_answer(&mut socket)
}

/// The same for credentials in a header.
fn v1_header(server: &TestServer, _: Kind, data: &str) -> String {
    // "u:tiger" and "u:lion" in base64.
    let basic = if data == RIGHT { "Basic dTp0aWdlcg==" } else { "Basic dTpsaW9u" };
    let mut socket = WebSocket::connect(server.address(), "/ws", &[("Authorization", basic)]).unwrap();
    assert!(socket.text().unwrap().starts_with(r#"{"welcome":"#));
    v1_answer(&mut socket)
}

fn v1_answer(socket: &mut WebSocket) -> String {
    let answer: serde_json::Value = serde_json::from_str(&socket.text().unwrap()).unwrap();
    let codes = ["ident-refused", "too-many-wrong-idents"];
    assert!(codes.iter().any(|code| answer["error"]["code"] == *code), "{answer}");
    format!(r#"42["ERROR",{}"#, answer["error"]["reason"])
}

#[test]
fn every_way_to_ident_is_counted_and_closed() {
    type Way = fn(&TestServer, Kind, &str) -> String;
    let polled = [Kind::V3_POLLING, Kind::V4_POLLING, Kind::V4_WEBSOCKET];
    let ways: Vec<(Way, Kind)> = (Kind::ALL.map(|kind| (command as Way, kind)).into_iter())
        .chain(polled.map(|kind| (handshake as Way, kind)))
        .chain([v1_command as Way, v1_header].map(|way| (way, Kind::V4_WEBSOCKET)))
        .collect();
    for (way, kind) in &ways {
        let server = TestServer::with(|config| {
            config.auth.method = ClientAuth::Password("tiger".into());
            config.limits.wrong_idents = u32::try_from(LIMIT).unwrap();
        });
        for _ in 0..LIMIT {
            let answer = way(&server, *kind, WRONG);
            assert!(answer.starts_with(NOT_VERIFIED), "{kind:?} {answer}");
        }
        for (other, other_kind) in &ways {
            let answer = other(&server, *other_kind, RIGHT);
            assert!(answer.starts_with(TOO_MANY), "{kind:?} then {other_kind:?}: {answer}");
        }
        let metrics = server.admin().get("/metrics");
        let counted = format!(r#"turted_refusals_total{{rule="too-many-wrong-idents"}} {}"#, ways.len());
        assert!(metrics.text().contains(&counted), "{}", metrics.text());
    }
}

#[test]
fn pushes_and_idents_are_counted_apart_and_others_are_not_concerned() {
    let server = TestServer::with(|config| {
        config.auth.method = ClientAuth::Password("tiger".into());
        config.push.password = Some("tiger".into());
        config.limits.wrong_idents = 1;
    });
    assert!(command(&server, Kind::V4_WEBSOCKET, WRONG).starts_with(NOT_VERIFIED));
    assert!(command(&server, Kind::V4_WEBSOCKET, RIGHT).starts_with(TOO_MANY));
    assert_eq!(server.push(r#"{"event":"e","auth":"tiger","targets":{"broadcast":true}}"#).text(), "OK");
    let mut http = from([127, 0, 0, 3], server.address());
    let opened = http.get("/socket.io/?EIO=3&transport=polling&username=u&password=tiger");
    let (_, rest) = opened.text().split_once(r#""sid":""#).unwrap();
    let (sid, _) = rest.split_once('"').unwrap();
    let answer = http.get(&Kind::V3_POLLING.target("polling", sid));
    assert!(answer.text().contains(r#"42["OK",{"username":"u"}]"#), "{}", answer.text());
}
