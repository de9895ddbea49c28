//! A dispatch as a backend hears of it: the position, and the members of a push.
//!
//! It is written when it is accepted, once for all hooks. A hook that kept the dispatch itself would keep it out of the
//! log's hands, which then counts it among what waits for clients.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use turted_core::dispatch::Targets;
use turted_core::name::Name;

use crate::hub::dispatch::log::Accepted;

#[derive(Serialize)]
struct JsonDispatch<'a> {
    position: String,
    event: &'a str,
    targets: JsonTargets<'a>,
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct JsonTargets<'a> {
    users: Vec<&'a str>,
    channels: Vec<&'a str>,
    broadcast: bool,
}

/// Writes an accepted dispatch.
pub(super) fn write(accepted: &Accepted) -> Arc<RawValue> {
    let dispatch = &accepted.dispatch;
    let Targets { users, channels, broadcast } = &dispatch.targets;
    let json = JsonDispatch {
        position: accepted.cursor.to_string(),
        event: dispatch.event.as_str(),
        targets: JsonTargets {
            users: users.iter().map(Name::as_str).collect(),
            channels: channels.iter().map(Name::as_str).collect(),
            broadcast: *broadcast,
        },
        payload: &dispatch.payload,
    };
    to_raw_value(&json).expect("texts and a payload are JSON").into()
}
