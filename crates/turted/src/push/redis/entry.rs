//! An entry of a stream, and the message that it is.
//!
//! Without `map` an entry is a push: its one field `push` has the body, or each field of a push is one of the entry. With
//! `map` the message is the field `payload`, or all fields as one object.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use turted_core::wire::resp::Reply;

use crate::push::intake::Refusal;

/// An entry: its id, and its fields and values in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::push) struct Entry {
    pub(super) id: Bytes,
    pub(super) fields: Vec<Bytes>,
}

/// What a list of entries has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) entries: Vec<Entry>,
    /// Ids of entries that were deleted or trimmed after they had been delivered.
    pub(super) lost: Vec<Bytes>,
    /// The id of the last one.
    pub(super) last: Option<Bytes>,
}

impl Entries {
    /// Reads `[[id, [field, value, ..]], ..]`, in which fields may be nil.
    pub(super) fn read(reply: Reply) -> Option<Self> {
        let values = reply.into_values()?;
        let mut all = Self { entries: Vec::with_capacity(values.len()), ..Self::default() };
        for entry in values {
            let mut parts = entry.into_values()?.into_iter();
            let (Some(id), Some(fields), None) = (parts.next(), parts.next(), parts.next()) else {
                return None;
            };
            let id = id.into_text()?;
            all.last = Some(id.clone());
            match fields {
                Reply::Nil => all.lost.push(id),
                fields => {
                    let fields = fields
                        .into_values()?
                        .into_iter()
                        .map(Reply::into_text)
                        .collect::<Option<Vec<_>>>()?;
                    all.entries.push(Entry { id, fields });
                }
            }
        }
        Some(all)
    }

    /// Reads what `XREADGROUP` answers: `[[stream, entries]]`, or nothing.
    pub(super) fn read_streams(reply: Reply) -> Option<Self> {
        let Some(stream) = reply.into_values()?.into_iter().next() else { return Some(Self::default()) };
        let entries = stream.into_values()?.into_iter().nth(1)?;
        Self::read(entries)
    }
}

impl Entry {
    fn pairs(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.fields.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// The body of the push that it is.
    pub(super) fn push(&self) -> Result<Bytes, Refusal> {
        if let [field, body] = &*self.fields
            && field == "push"
        {
            return Ok(body.clone());
        }
        let mut push = Push::default();
        for (field, value) in self.pairs() {
            push.set(text(field)?, text(value)?)?;
        }
        Ok(json(&push))
    }

    /// The message that a map takes.
    pub(super) fn message(&self) -> Result<Bytes, Refusal> {
        if let Some((_, payload)) = self.pairs().find(|(field, _)| *field == "payload") {
            return Ok(payload.clone());
        }
        let mut object = serde_json::Map::new();
        for (field, value) in self.pairs() {
            object.insert(text(field)?.to_owned(), Value::from(text(value)?));
        }
        Ok(json(&object))
    }

    /// Its fields as templates name them. One that is no text fills nothing.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let pairs = self.pairs().filter_map(|(field, value)| Some((text(field).ok()?, text(value).ok()?)));
        pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("texts and JSON make JSON").into()
}

fn text(bytes: &Bytes) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|_| refusal("entry-not-text", "an entry has text in UTF-8, and nothing else"))
}

fn refusal(rule: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal { rule, detail: detail.into() }
}

/// A push whose fields are those of an entry. Whatever breaks a rule of pushes is put down as it is.
#[derive(Default, Serialize)]
struct Push<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    targets: Targets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Targets<'a> {
    users: Vec<Name<'a>>,
    channels: Vec<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<Flag<'a>>,
}

/// One name, or a name out of a list in JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Flag<'a> {
    Is(bool),
    Text(&'a str),
}

impl<'a> Push<'a> {
    fn set(&mut self, field: &'a str, value: &'a str) -> Result<(), Refusal> {
        let twice = match field {
            "event" => self.event.replace(value).is_some(),
            "payload" => self.payload.replace(payload(value)?).is_some(),
            "id" => self.id.replace(value).is_some(),
            "password" => self.password.replace(value).is_some(),
            "broadcast" => self.targets.broadcast.replace(flag(value)).is_some(),
            // A list may go on in a second field.
            "user" | "users" => add(&mut self.targets.users, value)?,
            "channel" | "channels" => add(&mut self.targets.channels, value)?,
            _ => {
                let known = "event, users, channels, broadcast, payload, id and password";
                let detail = format!("an entry has the field push alone, or {known}");
                return Err(refusal("entry-unknown-field", detail));
            }
        };
        if twice {
            Err(refusal("entry-field-twice", "only users and channels may occur twice"))
        } else {
            Ok(())
        }
    }
}

fn payload(value: &str) -> Result<&RawValue, Refusal> {
    let detail = "the field payload must be JSON; a text has quotation marks";
    serde_json::from_str(value).map_err(|_| refusal("entry-payload-not-json", detail))
}

fn flag(value: &str) -> Flag<'_> {
    match value {
        "true" => Flag::Is(true),
        "false" => Flag::Is(false),
        text => Flag::Text(text),
    }
}

/// Adds one name, or those in an array in JSON. Returns that this may be done again.
fn add<'a>(list: &mut Vec<Name<'a>>, value: &'a str) -> Result<bool, Refusal> {
    if value.starts_with('[') {
        let names: Vec<&RawValue> = serde_json::from_str(value).map_err(|_| {
            refusal("entry-list-not-json", "a list of names that begins with [ must be an array in JSON")
        })?;
        list.extend(names.into_iter().map(Name::Json));
    } else if !value.is_empty() {
        list.push(Name::Text(value));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[&'static str]) -> Entry {
        let fields = fields.iter().map(|field| Bytes::from_static(field.as_bytes())).collect();
        Entry { id: Bytes::from_static(b"1-0"), fields }
    }

    #[track_caller]
    fn check(fields: &[&'static str], expected: &str) {
        let found = match entry(fields).push() {
            Ok(body) => String::from_utf8(body.to_vec()).unwrap(),
            Err(refusal) => refusal.rule.to_owned(),
        };
        assert_eq!(found, expected, "{fields:?}");
    }

    #[test]
    fn an_entry_is_the_push_in_its_field_or_one_made_of_its_fields() {
        check(&["push", "anything"], "anything");
        check(
            &["event", "E", "users", "alice", "payload", r#"{"a": 1}"#],
            r#"{"event":"E","targets":{"users":["alice"],"channels":[]},"payload":{"a": 1}}"#,
        );
        check(
            &["event", "\"", "users", r#"["a",7]"#, "user", "b", "channel", "c", "id", "i", "password", "p"],
            r#"{"event":"\"","targets":{"users":["a",7,"b"],"channels":["c"]},"id":"i","password":"p"}"#,
        );
        let broadcast = |value, expected: &str| {
            check(
                &["broadcast", value],
                &format!(r#"{{"targets":{{"users":[],"channels":[],"broadcast":{expected}}}}}"#),
            );
        };
        broadcast("true", "true");
        broadcast("false", "false");
        broadcast("1", "\"1\"");
        broadcast("yes", "\"yes\"");
    }

    #[test]
    fn an_entry_whose_fields_are_no_push_is_refused() {
        check(&["push", "{}", "event", "E"], "entry-unknown-field");
        check(&["event", "E", "level", "1"], "entry-unknown-field");
        check(&["event", "E", "event", "F"], "entry-field-twice");
        check(&["payload", "hello"], "entry-payload-not-json");
        check(&["payload", r#"1},"targets":{"broadcast":true"#], "entry-payload-not-json");
        check(&["users", "[alice]"], "entry-list-not-json");
        let binary = Entry { id: Bytes::new(), fields: vec!["event".into(), Bytes::from_static(b"\xff")] };
        assert_eq!(binary.push().unwrap_err().rule, "entry-not-text");
    }

    #[test]
    fn a_map_takes_the_payload_or_all_fields() {
        assert_eq!(entry(&["a", "1", "payload", "text"]).message().unwrap(), "text");
        let both = entry(&["level", "warn", "text", "\"x\""]);
        assert_eq!(both.message().unwrap(), r#"{"level":"warn","text":"\"x\""}"#);
        assert_eq!(both.headers(), [("level".into(), "warn".into()), ("text".into(), "\"x\"".into())]);
    }

    #[test]
    fn entries_are_read_with_those_that_are_gone() {
        let text = |text: &'static str| Reply::Text(Bytes::from_static(text.as_bytes()));
        let fields = Reply::Array(vec![text("a"), text("b")]);
        let entries = Reply::Array(vec![
            Reply::Array(vec![text("1-0"), fields]),
            Reply::Array(vec![text("2-0"), Reply::Nil]),
        ]);
        let read = Entries::read_streams(Reply::Array(vec![Reply::Array(vec![text("s"), entries])])).unwrap();
        assert_eq!(read.entries, [entry(&["a", "b"])]);
        assert_eq!(
            (read.lost, read.last),
            (vec![Bytes::from_static(b"2-0")], Some(Bytes::from_static(b"2-0")))
        );
        assert_eq!(Entries::read_streams(Reply::Nil), Some(Entries::default()));
        assert_eq!(Entries::read_streams(Reply::Integer(1)), None);
    }
}
