//! One item of a push body in either of its forms.
//!
//! Up to 3.2.2 the node server took `{"cmd":C,"auth":..,"data":{..}}`, also without `cmd`, and old backends
//! still send it. Since 3.3.3 it takes `{"event":E,"targets":T,"payload":P,"auth":..}`.

use std::fmt;

use serde_json::value::RawValue;

use super::refusal::PushRefusal;
use super::scope::Scope;
use super::targets;
use crate::dispatch::{Dispatch, Targets};
use crate::json::{self, JsonKind, Members};
use crate::name::Name;
use crate::secret::Secret;

/// What an item must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) targets_max: usize,
    pub(super) scope: &'a Scope,
}

/// One item: its credentials, and the rest unparsed.
#[derive(Debug)]
pub(super) struct Item<'a> {
    credentials: Option<Secret>,
    auth: Option<Hidden<'a>>,
    form: Form<'a>,
}

/// Where the credentials stand: what is there is never shown.
struct Hidden<'a>(&'a RawValue);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[derive(Debug)]
enum Form<'a> {
    Current {
        event: Option<&'a RawValue>,
        targets: Option<&'a RawValue>,
        payload: Option<&'a RawValue>,
    },
    Legacy {
        /// Without it the command is `notify`: up to 3.2.2 the node server told only `notifyAll` apart.
        cmd: Option<&'a RawValue>,
        data: &'a RawValue,
    },
    /// The item breaks a rule. The refusal is told after the credentials are checked, not before.
    Wrong(PushRefusal),
}

impl<'a> Item<'a> {
    /// Reads an item from any JSON value.
    pub(super) fn read_any(raw: &'a RawValue) -> Result<Self, PushRefusal> {
        if JsonKind::of(raw) == JsonKind::Object {
            return Self::read(raw.get());
        }
        let wrong = PushRefusal::rule("item-not-an-object", "", "a push is an object");
        Ok(Self { credentials: None, auth: None, form: Form::Wrong(wrong) })
    }

    /// Reads an item from the text of an object.
    pub(super) fn read(json: &'a str) -> Result<Self, PushRefusal> {
        let names = ["event", "targets", "payload", "auth", "password", "cmd", "data"];
        let members = Members::read(json, names).ok_or_else(PushRefusal::not_json)?;
        let [event, targets, payload, auth, password, cmd, data] = members.values;
        let is_given = |raw: &&RawValue| JsonKind::of(raw) != JsonKind::Null;
        let data = data.filter(is_given);
        if cmd.is_some() && data.is_none() {
            return Err(PushRefusal::data_missing());
        }
        let is_legacy = cmd.is_some() || (event.is_none() && targets.is_none());
        let form = match (members.duplicate, data) {
            (Some(key), _) => Form::Wrong(PushRefusal::duplicate_key("", key)),
            (None, Some(data)) if is_legacy => Form::Legacy { cmd, data },
            (None, _) => Form::Current { event, targets, payload },
        };
        let credentials = auth.and_then(auth_secret).or_else(|| password.and_then(Secret::read));
        let auth = auth.filter(is_given).or(password.filter(is_given));
        Ok(Self { credentials, auth: auth.map(Hidden), form })
    }

    pub(super) fn credentials(&self) -> Option<&Secret> {
        self.credentials.as_ref()
    }

    pub(super) fn auth(&self) -> Option<&'a RawValue> {
        self.auth.as_ref().map(|Hidden(raw)| *raw)
    }

    pub(super) fn into_dispatch(self, rules: Rules<'_>) -> Result<Dispatch, PushRefusal> {
        match self.form {
            Form::Current { event, targets, payload } => Ok(Dispatch {
                event: read_allowed_event(event, "/event", rules)?,
                targets: targets::read(targets, rules)?,
                payload: read_payload(payload),
            }),
            Form::Legacy { cmd, data } => read_legacy(cmd, data, rules),
            Form::Wrong(refusal) => Err(refusal),
        }
    }
}

/// `{"password":P}` or `P`.
fn auth_secret(raw: &RawValue) -> Option<Secret> {
    if JsonKind::of(raw) != JsonKind::Object {
        return Secret::read(raw);
    }
    let members = Members::read(raw.get(), ["password"])?;
    let [password] = members.values;
    if members.duplicate.is_some() { None } else { Secret::read(password?) }
}

pub(super) fn read_event(raw: Option<&RawValue>, field: &str) -> Result<Name, PushRefusal> {
    let raw = raw.ok_or_else(|| PushRefusal::rule("event-missing", field, "event is missing"))?;
    if JsonKind::of(raw) != JsonKind::Text {
        return Err(PushRefusal::rule("event-not-a-string", field, "event must be a string"));
    }
    let text = json::text(raw).ok_or_else(|| targets::lone_surrogate(field))?;
    Name::new(&text).map_err(|refusal| targets::no_name(refusal, field))
}

fn read_allowed_event(raw: Option<&RawValue>, field: &str, rules: Rules<'_>) -> Result<Name, PushRefusal> {
    let event = read_event(raw, field)?;
    rules.scope.check_event(&event).map_err(|detail| PushRefusal::not_allowed(field, detail))?;
    Ok(event)
}

pub(super) fn read_payload(raw: Option<&RawValue>) -> Box<RawValue> {
    match raw {
        Some(raw) => raw.to_owned(),
        None => RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
    }
}

fn read_legacy(cmd: Option<&RawValue>, data: &RawValue, rules: Rules<'_>) -> Result<Dispatch, PushRefusal> {
    let broadcast = cmd.map_or(Ok(false), is_broadcast)?;
    let names = ["event", "user", "users", "channel", "channels", "payload"];
    let not_an_object = || PushRefusal::rule("data-not-an-object", "/data", "data must be an object");
    let members = Members::read(data.get(), names).ok_or_else(not_an_object)?;
    if let Some(key) = members.duplicate {
        return Err(PushRefusal::duplicate_key("/data", key));
    }
    let [event, user, users, channel, channels, payload] = members.values;
    let targets = match broadcast {
        true => {
            let allowed = rules.scope.check_broadcast();
            allowed.map_err(|detail| PushRefusal::not_allowed("/cmd", detail))?;
            Targets::broadcast()
        }
        false => targets::union("/data", [user, users], [channel, channels], rules)?,
    };
    let event = read_allowed_event(event, "/data/event", rules)?;
    Ok(Dispatch { event, targets, payload: read_payload(payload) })
}

/// Whether the command is the one that reaches every connection. The other commands are all treated alike.
fn is_broadcast(cmd: &RawValue) -> Result<bool, PushRefusal> {
    match json::text(cmd).as_deref() {
        Some("notifyAll") => Ok(true),
        Some("notifyUser" | "notifyChannel" | "notify") => Ok(false),
        _ => {
            let detail = "cmd is one of notifyUser, notifyChannel, notify, notifyAll";
            Err(PushRefusal::rule("cmd-unknown", "/cmd", detail))
        }
    }
}
