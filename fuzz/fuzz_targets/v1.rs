//! turted.v1 and the protocol before it: any text is a request or is refused, in agreement with `serde_json`.
//! Every answer is JSON of one kind, with the id and the data byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use turted_core::command::{Command, Extras};
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::history::Following;
use turted_core::limits::{CHANNELS_PER_JOIN_MAX, HISTORY_EVENTS_MAX, REQUEST_ID_BYTES_MAX};
use turted_core::name::Name;
use turted_core::reply::Reply;
use turted_core::wire::legacy;
use turted_core::wire::v1::{
    Action, AskedChannel, Id, Joined, Refused, decode, encode_dispatch, encode_error, encode_joined,
    encode_reply,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    check_legacy(text);
    let model = serde_json::from_str::<Value>(text).ok();
    match decode(text) {
        Err(refused) => check_refusal(&refused),
        Ok(request) => {
            if let Some(model) = &model {
                let name = model["do"].as_str().expect("a command");
                assert_eq!(name, command_name(&request.action));
            }
            check_id(request.id);
            check_action(request.id, &request.action);
        }
    }
});

fn command_name(action: &Action<'_>) -> &'static str {
    match action {
        Action::Command(Command::Ident(_)) => "ident",
        Action::Command(Command::Join(_) | Command::JoinWith(..)) => "join",
        Action::Command(Command::Leave(_)) => "leave",
        Action::Command(Command::Presence(_)) => "presence",
        Action::Command(Command::Echo(_)) => "echo",
        Action::Command(Command::Ping(_)) => "ping",
        Action::JoinEach(_) => "join",
        Action::Resume(_) => "resume",
    }
}

fn check_id(id: Option<Id<'_>>) {
    let Some(id) = id else { return };
    assert!(id.as_json().len() <= REQUEST_ID_BYTES_MAX);
    assert!(!id.as_json().starts_with(['{', '[', 't', 'f', 'n']));
}

/// A message of the server has exactly one of four members. Their values are not parsed, because numbers may
/// be out of range and texts may have lone surrogates.
fn check_kind(message: &str, kind: &str) {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(message).expect("JSON");
    let all = ["welcome", "reply", "event", "presence"];
    let kinds = all.map(|name| members.contains_key(name));
    assert_eq!(kinds, all.map(|name| name == kind));
}

fn check_refusal(refused: &Refused<'_>) {
    check_id(refused.id);
    let message = encode_error(refused.id, &refused.error);
    check_kind(&message, "reply");
    let id = refused.id.map_or("null", Id::as_json);
    assert!(message.starts_with(&format!(r#"{{"reply":{id},"ok":false,"#)));
    assert!(refused.error.reason.len() < 256 && !refused.error.reason.contains(char::is_control));
}

fn check_action(id: Option<Id<'_>>, action: &Action<'_>) {
    match action {
        Action::Command(Command::Join(name) | Command::Leave(name)) => {
            check_reply(id, &Reply::Joined(name));
        }
        Action::Command(Command::Presence(name)) => check_reply(id, &Reply::Present(name)),
        Action::Command(Command::JoinWith(name, Extras { history: None, presence })) => {
            assert!(presence);
            check_reply(id, &Reply::Joined(name));
        }
        Action::Command(Command::JoinWith(name, Extras { history: Some(wanted), .. })) => {
            assert!(wanted.newest <= HISTORY_EVENTS_MAX && (wanted.newest > 0 || wanted.since.is_some()));
            check_reply(id, &Reply::JoinedFrom(name, Following { replayed: wanted.newest, complete: true }));
        }
        Action::Command(Command::Echo(data)) => {
            check_reply(id, &Reply::Echo(*data));
            if let Some(data) = data {
                check_event(data);
            }
        }
        Action::JoinEach(asked) => check_joined(id, &asked.channels),
        Action::Resume(resume) => {
            assert!(id.is_some() && !resume.session.is_empty());
        }
        _ => check_reply(id, &Reply::Pong(None)),
    }
}

/// Each channel is in the answer as it was sent, joined if it is a name and else refused.
fn check_joined(id: Option<Id<'_>>, channels: &[AskedChannel<'_>]) {
    assert!((1..=CHANNELS_PER_JOIN_MAX).contains(&channels.len()));
    let outcomes: Vec<Joined<'_>> =
        channels.iter().map(|asked| (asked.json, asked.name.clone().map(drop))).collect();
    let joined: Vec<_> =
        channels.iter().filter(|asked| asked.name.is_ok()).map(|asked| asked.json.get()).collect();
    let Some(message) = encode_joined(id, &outcomes) else {
        assert!(id.is_none() && joined.len() == channels.len());
        return;
    };
    check_kind(&message, "reply");
    let (id, list) = (id.map_or("null", Id::as_json), joined.join(","));
    assert!(message.starts_with(&format!(r#"{{"reply":{id},"ok":true,"channels":[{list}],"refused":["#)));
    for asked in channels {
        assert!(message.contains(asked.json.get()));
    }
}

fn check_reply(id: Option<Id<'_>>, reply: &Reply<'_>) {
    let message = encode_reply(id, reply);
    assert_eq!(message.is_some(), id.is_some());
    let (Some(message), Some(id)) = (message, id) else {
        return;
    };
    check_kind(&message, "reply");
    assert!(message.starts_with(&format!(r#"{{"reply":{},"ok":true"#, id.as_json())));
    if let Reply::Echo(Some(data)) = reply {
        assert!(message.ends_with(&format!(r#""data":{}}}"#, data.get())));
    }
}

fn check_event(payload: &RawValue) {
    let name = Name::new("reply\"").expect("a name");
    let targets = Targets::default();
    let dispatch = Dispatch { event: name.clone(), payload: payload.to_owned(), targets };
    let cursor = Cursor { epoch: 255, sequence: 36 };
    let message = encode_dispatch(&dispatch, Via::Channel(&name), Some(cursor));
    check_kind(&message, "event");
    let expected = format!(
        r#"{{"event":"reply\"","payload":{},"via":{{"channel":"reply\""}},"cursor":"ff-36"}}"#,
        payload.get()
    );
    assert_eq!(message, expected);
}

fn check_legacy(text: &str) {
    match legacy::decode(text) {
        Ok(legacy::Request::Command(Command::Echo(Some(data)))) => {
            let message = legacy::encode_reply(&Reply::Echo(Some(data))).expect("an answer");
            assert_eq!(message, format!(r#"{{"type":"message","data":{}}}"#, data.get()));
        }
        Ok(_) => {}
        Err(malformed) => {
            let message = legacy::encode_reply(&Reply::Refused(&malformed.to_string()));
            let message: Value = serde_json::from_str(&message.expect("an answer")).expect("JSON");
            assert_eq!(message["type"], "ERR");
        }
    }
}
