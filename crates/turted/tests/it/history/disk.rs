//! History with a log on disk: what a start goes on with.

use std::path::Path;

use serde_json::{Value, json};
use turted::config::{DiskLog, LogStart, LogStore, LogSync, Secret};

use super::{join, keep, say, settled};
use crate::support::TestServer;
use crate::v1::Client;

/// The token of operators.
const TOKEN: &str = "0123456789abcdefghijkl";

/// A server with a log of two dispatches on disk, where channels that begin with `c` keep five events.
fn on_disk(directory: &Path) -> TestServer {
    TestServer::with(|config| {
        keep(config, 5);
        config.recovery.log_dispatches = 2;
        config.admin.write_token = Some(Secret::from(TOKEN));
        config.log = LogStore::Disk(DiskLog {
            directory: directory.to_owned(),
            sync: LogSync::Never,
            required: false,
            start: LogStart::Continue,
        });
    })
}

/// The payloads and positions that a client gets which joins with history, and whether they are all.
fn history_of(server: &TestServer, channel: &str) -> (Vec<(Value, Value)>, bool) {
    let mut client = Client::new(server);
    let reply = client.ask(&join(channel, 5));
    let replayed = reply["replayed"].as_u64().unwrap();
    let events = (0..replayed).map(|_| client.receive());
    (
        events.map(|mut event| (event["payload"].take(), event["position"].take())).collect(),
        reply["complete"] == true,
    )
}

#[test]
fn history_goes_on_after_a_clean_end_and_begins_with_the_log_after_any_other() {
    let (place, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = |name: &str| {
        let to = killed.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(place.path().join("log")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        to
    };
    let directory = place.path().join("log");
    let server = on_disk(&directory);
    say(&server, "c", 1..=7);
    say(&server, "c2", 1..=1);
    settled(&server);
    let before = (history_of(&server, "c"), history_of(&server, "c2"));
    assert_eq!(before.0.0.len(), 5);
    let running = copy("running");
    server.stop();
    let server = on_disk(&directory);
    assert_eq!((history_of(&server, "c"), history_of(&server, "c2")), before);
    say(&server, "c", 8..=8);
    settled(&server);
    let (events, is_complete) = history_of(&server, "c");
    let told: Vec<_> = events.iter().map(|(payload, _)| payload.clone()).collect();
    assert_eq!((told, is_complete), ((4..=8).map(Value::from).collect(), true));
    server.stop();
    let damaged = copy("damaged");
    let mut bytes = std::fs::read(damaged.join("history")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(damaged.join("history"), bytes).unwrap();
    // The log of the server that was killed ends with 7, that of the other with 8: `c2` and `settled` stand in it too.
    for (directory, last) in [(running, None), (damaged, Some(json!(8)))] {
        let server = on_disk(&directory);
        let (events, is_complete) = history_of(&server, "c");
        assert!(!is_complete, "what the log does not have is gone");
        assert_eq!(events.last().map(|(payload, _)| payload.clone()), last);
        server.stop();
    }
}

#[test]
fn what_was_deleted_stays_deleted_after_a_clean_end_and_is_missed_as_before() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("log");
    let server = on_disk(&directory);
    for number in 1..=5 {
        let body = format!(r#"{{"event":"e","targets":{{"channels":["c","c2"]}},"payload":{number}}}"#);
        assert_eq!(server.push(body).status, 200);
    }
    say(&server, "c3", 1..=1);
    settled(&server);
    let positions: Vec<_> = history_of(&server, "c").0.into_iter().map(|(_, position)| position).collect();
    let bearer = format!("Bearer {TOKEN}");
    let delete = |server: &TestServer, path: &str| {
        let answer = server.admin().request("DELETE", path, &[("Authorization", &bearer)], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    delete(&server, &format!("/api/v1/channels/c/history/{}", positions[3].as_str().unwrap()));
    delete(&server, "/api/v1/channels/c3/history");
    let of_all = |server: &TestServer| ["c", "c2", "c3"].map(|channel| history_of(server, channel));
    let since = |server: &TestServer| {
        let mut client = Client::new(server);
        client.ask(&json!({"id": "h", "do": "join", "channel": "c", "since": positions[2]}))
    };
    let before = (of_all(&server), since(&server));
    assert_eq!((before.0[0].0.len(), before.0[1].0.len(), before.0[2].0.len()), (4, 5, 0));
    assert_eq!(before.1["complete"], false);
    server.stop();
    let server = on_disk(&directory);
    assert_eq!((of_all(&server), since(&server)), before);
    server.stop();
}
