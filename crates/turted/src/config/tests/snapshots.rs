//! Every message of a kind, word for word: what each key expects, and each relation between two.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn each_key_tells_what_it_expects() {
    let told: String = SETTINGS
        .iter()
        .map(|setting| {
            let (section, key) = setting.parts();
            let section = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let error = Place::new(&format!("{section}{key} = {{ a = 1 }}")).load(&[], &[]).map(|_| ());
            format!("{}\n", error.unwrap_err())
        })
        .collect();
    // A new key is a line of that file, in the order of the table.
    for (told, written) in told.lines().zip(include_str!("wrong_types.txt").lines()) {
        assert_eq!(told, written);
    }
    assert_eq!(told, include_str!("wrong_types.txt"));
}

#[test]
fn each_relation_is_told_with_both_values_and_the_reason() {
    let cases = [
        (
            "[auth]\nurl = \"http://a/\"\n[socketio]\nping_timeout = \"1s\"",
            "turted.toml:4:16: `auth.timeout` = 5000 is above `socketio.ping_timeout` = 1000: the answer to a heartbeat waits behind an IDENT (both in milliseconds)",
        ),
        (
            "[socketio]\nmax_payload = 65535",
            "turted.toml:2:15: `limits.message_bytes` = 65536 is above `socketio.max_payload` = 65535: a message must fit into a polling body",
        ),
        (
            "[limits]\noutbox_bytes = 65535",
            "turted.toml:2:16: `limits.message_bytes` = 65536 is above `limits.outbox_bytes` = 65535: an echo must fit into an outbox",
        ),
        (
            "[limits]\nmessage_burst = 127",
            "turted.toml:2:17: `limits.channels_per_connection` = 128 is above `limits.message_burst` = 127: joining all channels must not be a flood",
        ),
        (
            "[limits]\ninbox_dispatches = 999",
            "turted.toml:2:20: `limits.batch_dispatches` = 1000 is above `limits.inbox_dispatches` = 999: a batch must fit into an inbox",
        ),
        (
            "[limits]\nbodies_bytes = 1048575",
            "turted.toml:2:16: `limits.push_body_bytes` = 1048576 is above `limits.bodies_bytes` = 1048575: a push must be readable while no other is read",
        ),
        (
            "[limits]\nbodies_bytes = 1048576\n[socketio]\nmax_payload = 1048577",
            "turted.toml:4:15: `socketio.max_payload` = 1048577 is above `limits.bodies_bytes` = 1048576: a polling body must be readable while no other is read",
        ),
        (
            "[limits]\nexpansion_bytes = 1048575",
            "turted.toml:2:19: `limits.push_body_bytes` = 1048576 is above `limits.expansion_bytes` = 1048575: a push to one target must not be too large",
        ),
        (
            "[limits]\nbacklog_bytes = 16777215",
            "turted.toml:2:17: `limits.outbox_bytes` = 16777216 is above `limits.backlog_bytes` = 16777215: what waits for one connection is part of what waits for all",
        ),
        (
            "[limits]\nrequest_uri_bytes = 16385",
            "turted.toml:2:21: `limits.request_uri_bytes` = 16385 is above `limits.request_head_bytes` = 16384: a request target is part of the head",
        ),
    ];
    assert_eq!(cases.len(), resolve::RELATIONS.len(), "each of them is here");
    for (toml, message) in cases {
        check(toml, &[], message);
    }
}

#[test]
fn paths_that_overlap_are_told() {
    for (toml, message) in [
        (
            "[websocket]\npath = \"/push/ws\"",
            "turted.toml:2:8: `push.path` = \"/push/\" and `websocket.path` = \"/push/ws/\" overlap",
        ),
        (
            "demo = true\n[sse]\npath = \"/demo/events\"",
            "turted.toml:3:8: `sse.path` = \"/demo/events/\" and `demo` = \"/demo/\" overlap",
        ),
        (
            "demo = true\n[sse]\nreactphp_path = \"/demo\"",
            "turted.toml:3:17: `sse.reactphp_path` = \"/demo/\" and `demo` = \"/demo/\" overlap",
        ),
        (
            "[websocket]\npath = \"/socket.io\"",
            "turted.toml:2:8: `socketio.path` = \"/socket.io/\" and `websocket.path` = \"/socket.io/\" overlap",
        ),
    ] {
        check(toml, &[], message);
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let place = Place::new("");
    let variables = vec![(OsString::from("TURTED_LISTEN"), OsString::from_vec(vec![0xFF]))];
    let file = place.0.path().join("turted.toml");
    let sources = |variables| Sources { file: ConfigFile::Named(file.clone()), variables, flags: Vec::new() };
    let error = load(&sources(variables)).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "TURTED_LISTEN: `listen`: expected UTF-8");
    fs::write(&file, [0xFF]).unwrap();
    let error = place.strip(&load(&sources(Vec::new())).map(|_| ()).unwrap_err().to_string());
    assert_eq!(error, "cannot read turted.toml: stream did not contain valid UTF-8");
    place.write("turted.toml", &"#".repeat(8 * 1024 * 1024 + 1));
    let error = place.load(&[], &[]).map(|_| ()).unwrap_err();
    assert_eq!(error, "cannot read turted.toml: more than 8388608 bytes");
}
