//! Names of strangers, wherever somebody asks by a name: too long ones, those with control characters, and none.

use serde_json::json;

use crate::support::{Http, TestServer};
use crate::v1;

/// What is no name, percent-encoded and not.
const NO_NAMES: [(&str, &str); 3] = [("a%0Ab", "a\nb"), ("%C2%9B31m", "\u{9b}31m"), ("", "")];

#[test]
fn what_is_no_name_is_refused_wherever_operators_and_backends_ask() {
    let server = TestServer::new();
    let long = "n".repeat(100_000);
    let status = |path: &str| server.admin().get(path).status;
    for (escaped, name) in NO_NAMES.into_iter().chain([(&*long, &*long)]) {
        // A head of 100 kB is no request.
        let too_long = escaped.len() > 1_000;
        let refused = if too_long { vec![400, 404, 414, 431] } else { vec![400, 404] };
        for path in [
            format!("/api/v1/users/{escaped}"),
            format!("/api/v1/channels/{escaped}/history"),
            format!("/api/v1/channels/history?name={escaped}"),
            format!("/api/v1/events?user={escaped}"),
            format!("/api/v1/events?channel={escaped}"),
            format!("/api/v1/events?event={escaped}"),
        ] {
            // What asks for no name lists all.
            if escaped.is_empty() && path.ends_with('/') {
                continue;
            }
            let found = status(&path);
            assert!(refused.contains(&found), "{found} for {}", &path[..path.len().min(100)]);
        }
        let asked = json!({"users": ["adam", name]}).to_string();
        let answer = server.http().post("/push/presence", &[], asked);
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    server.assert_alive();
}

#[test]
fn what_is_no_name_has_no_history_and_no_presence() {
    let server = TestServer::new();
    let long = "n".repeat(100_000);
    for (escaped, name) in NO_NAMES.into_iter().chain([("n", &*long)]) {
        let mut client = v1::Client::new(&server);
        let join = json!({"id": 1, "do": "join", "channel": name, "history": 5, "presence": true});
        let ask = json!({"id": 1, "do": "presence", "channel": name});
        if name.len() > 1_000 {
            // A message of that size ends the connection.
            client.send(&join);
            assert!(client.socket.close_code().is_some());
        } else {
            assert_eq!(client.ask(&join)["ok"], false, "{name:?}");
            assert_eq!(client.ask(&ask)["ok"], false, "{name:?}");
            let mut http = Http::connect(server.address());
            assert_eq!(http.get(&format!("/sse?channel={escaped}&history=5")).status, 400, "{name:?}");
        }
    }
    server.assert_alive();
}
