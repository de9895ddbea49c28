//! `turted who`, and the pages of lists.

use serde_json::json;

use super::program::Program;
use crate::support::{Kind, TestServer};

fn who(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", server.admin_address());
    Program::start(&[&["who", "--url", &url], arguments].concat(), &[]).end()
}

#[test]
fn it_lists_users_and_channels_and_shows_one() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"adam"}"#);
    client.ask("JOIN", &json!({"channel": "a\u{202e}/b"}).to_string());
    let (code, printed, complaint) = who(&server, &[]);
    assert_eq!(code, Some(0), "{complaint}");
    let words: Vec<_> = printed.split_whitespace().collect();
    assert_eq!(words, ["users", "adam", "1", "channels", "a\\u{202e}/b", "1"]);
    let (code, printed, complaint) = who(&server, &["adam"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(printed.starts_with("user adam: 1 connection\n  connection "), "{printed}");
    assert!(printed.contains("channels         a\\u{202e}/b\n"), "{printed}");
    let id = printed.split_whitespace().nth(5).unwrap().to_owned();
    let (code, of_id, _) = who(&server, &[&id]);
    assert_eq!((code, of_id.contains("users            adam")), (Some(0), true), "{of_id}");
    let channel = who(&server, &["a\u{202e}/b"]);
    assert!(channel.1.starts_with("channel a\\u{202e}/b: 1 connection\n"), "{}", channel.1);
    let nobody = who(&server, &["eve"]);
    assert_eq!((nobody.0, &*nobody.1), (Some(1), ""));
    assert_eq!(nobody.2, "turted: no user, channel or connection eve is there now\n");
    assert_eq!(who(&server, &[""]).0, Some(2), "a name is not empty");
    let unreached = Program::start(&["who", "--url", "http://127.0.0.1:1"], &[]).end();
    assert_eq!(unreached.0, Some(3), "{}", unreached.2);
}

#[test]
fn a_list_goes_on_behind_the_last_name_of_a_page() {
    let server = TestServer::with(|config| config.limits.message_burst = 1_000);
    let names: Vec<_> = (0..1_100).map(|number| format!("c-{number:04}")).collect();
    let mut clients = Vec::new();
    for portion in names.chunks(100) {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        portion.iter().for_each(|name| drop(client.ask("JOIN", &json!({"channel": name}).to_string())));
        clients.push(client);
    }
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.admin().get(&format!("/api/v1/channels?limit=500{after}")).json();
        let entries = page["channels"].as_array().unwrap();
        listed.extend(entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()));
        if page["more"] == false {
            break;
        }
        after = format!("&after={}", listed.last().unwrap());
    }
    assert_eq!(listed, names);
    let (_, printed, _) = who(&server, &[]);
    let shown: Vec<_> = printed.split_whitespace().filter(|word| word.starts_with("c-")).collect();
    assert_eq!(shown, names);
}
