//! A `join` of several channels.

use serde_json::{Value, json};
use turted::config::ClientAuth;

use super::Client;
use crate::support::{Http, TestServer, WebSocket};

fn join(channels: &Value) -> Value {
    json!({"id": 1, "do": "join", "channels": channels})
}

/// The channels that were joined, and each that was refused with its code.
fn outcome(reply: &Value) -> (Value, Vec<(String, String)>) {
    assert_eq!(reply["ok"], true, "{reply}");
    let refused = reply["refused"].as_array().unwrap().iter().map(|refused| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_ne!(text(&refused["error"]["reason"]), "");
        assert_ne!(text(&refused["error"]["rule"]), "");
        (text(&refused["channel"]), text(&refused["error"]["code"]))
    });
    (reply["channels"].clone(), refused.collect())
}

fn refused(channel: &str, code: &str) -> (String, String) {
    (channel.to_owned(), code.to_owned())
}

#[test]
fn each_of_several_channels_is_joined_or_refused_for_itself_in_order() {
    let server = TestServer::with(|config| config.limits.channels_per_connection = 2);
    let mut client = Client::new(&server);
    let long = "x".repeat(256);
    let reply = client.ask(&join(&json!(["b", "", "a\u{7f}", "a", &long, "c", "b"])));
    let expected = [
        refused("", "channel-missing"),
        refused("a\u{7f}", "channel-invalid"),
        refused(&long, "channel-invalid"),
        refused("c", "too-many-channels"),
    ];
    assert_eq!(outcome(&reply), (json!(["b", "a", "b"]), expected.to_vec()));
    for channel in ["a", "b", "c"] {
        server.dispatcher().notify_channel(channel, "e", &channel).unwrap();
    }
    server.dispatcher().broadcast("e", &"last").unwrap();
    let received = [client.receive(), client.receive(), client.receive()];
    assert_eq!(received.map(|event| event["payload"].clone()), ["a", "b", "last"]);
    assert_eq!([server.refusals("channel-invalid"), server.refusals("channel-missing")], [2, 1]);
    assert_eq!(server.refusals("join"), 1);
}

#[test]
fn a_list_of_channels_that_is_none_is_refused_whole_and_joins_nothing() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    let both = json!({"id": 1, "do": "join", "channels": ["a"], "channel": "a"});
    let lists = [json!([]), json!(["a", 7]), json!("a"), json!({"0": "a"}), json!(vec!["a"; 129])];
    for request in lists.iter().map(join).chain([both]) {
        assert_eq!(client.code(&request), "channels-invalid", "{request}");
    }
    server.dispatcher().notify_channel("a", "e", &1).unwrap();
    let (joined, refused) = outcome(&client.ask(&join(&json!(vec!["a"; 128]))));
    assert_eq!((joined.as_array().unwrap().len(), refused.len()), (128, 0));
}

#[test]
fn a_join_of_128_channels_counts_as_one_message() {
    let server = TestServer::with(|config| {
        config.limits.message_burst = 3;
        config.limits.message_rate = 1;
    });
    let mut client = Client::new(&server);
    let channels: Vec<_> = (0..128).map(|number| number.to_string()).collect();
    for _ in 0..2 {
        assert_eq!(client.ask(&join(&json!(channels)))["channels"], json!(channels));
    }
    client.ping();
}

#[test]
fn a_list_without_an_id_is_answered_only_if_a_channel_is_refused() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    client.send(&json!({"do": "join", "channels": ["a"]}));
    let reply = client.ask(&json!({"do": "join", "channels": ["b", ""]}));
    assert_eq!(reply["reply"], Value::Null);
    assert_eq!(outcome(&reply), (json!(["b"]), vec![refused("", "channel-missing")]));
    assert_eq!(client.code(&json!({"do": "join", "channels": []})), "channels-invalid");
}

#[test]
fn a_client_that_reads_late_is_told_of_each_refused_list_in_order() {
    let server = TestServer::with(|config| config.limits.message_rate = 1_000_000);
    let mut socket = WebSocket::over(Http::connect_narrow(server.address()), "/ws", &[]).unwrap();
    for number in 0..100 {
        let request = json!({"id": number, "do": "join", "channels": vec![""; 128]});
        socket.send_text(request.to_string());
    }
    assert!(socket.text().unwrap().starts_with(r#"{"welcome""#));
    for number in 0..100 {
        let reply: Value = serde_json::from_str(&socket.text().unwrap()).unwrap();
        assert_eq!((&reply["reply"], outcome(&reply).1.len()), (&json!(number), 128));
    }
}

#[test]
fn names_in_the_answer_are_written_as_in_the_request() {
    let server = TestServer::with(|config| config.auth.method = ClientAuth::Accept);
    let mut client = Client::new(&server);
    client.socket.send_text(r#"{"id":1,"do":"join","channels":[ "\u0061" , "\ud800", "é" ]}"#);
    let reply = client.socket.text().unwrap();
    let start = r#"{"reply":1,"ok":true,"channels":["\u0061","é"],"refused":[{"channel":"\ud800","error":{"#;
    assert!(reply.starts_with(start), "{reply}");
    server.dispatcher().notify_channel("a", "e", &1).unwrap();
    assert_eq!(client.receive()["via"], json!({"channel": "a"}));
}
