//! The targets of a push: lists of names in the shapes that backends, PHP among them, send.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::form::Rules;
use super::refusal::PushRefusal;
use crate::dispatch::Targets;
use crate::json::{self, JsonKind, Key, Members};
use crate::name::{Name, NameRefusal};

/// One list under its two names: `user` and `users`, or `channel` and `channels`.
type Lists<'a> = [Option<&'a RawValue>; 2];

/// Whether a name may be a target, or why not.
type Allowed<'a> = &'a dyn Fn(&Name) -> Result<(), &'static str>;

/// The targets in the field `targets` of the current form.
pub(super) fn read(raw: Option<&RawValue>, rules: Rules<'_>) -> Result<Targets, PushRefusal> {
    let Some(raw) = raw.filter(|raw| !is_empty(raw)) else {
        return Ok(Targets::default());
    };
    let names = ["user", "users", "channel", "channels", "broadcast"];
    let not_an_object =
        || PushRefusal::rule("targets-not-an-object", "/targets", "targets must be an object");
    let members = Members::read(raw.get(), names).ok_or_else(not_an_object)?;
    if let Some(key) = members.duplicate {
        return Err(PushRefusal::duplicate_key("/targets", key));
    }
    if let Some(key) = members.unknown {
        let detail = "targets has the keys users, channels and broadcast";
        return Err(PushRefusal::rule("targets-unknown-key", &below("/targets", Key::Member(key)), detail));
    }
    let [user, users, channel, channels, broadcast] = members.values;
    let targets = union("/targets", [user, users], [channel, channels], rules)?;
    let broadcast = broadcast.map_or(Ok(false), is_broadcast)?;
    if broadcast {
        let allowed = rules.scope.check_broadcast();
        allowed.map_err(|detail| PushRefusal::not_allowed("/targets/broadcast", detail))?;
    }
    Ok(Targets { broadcast, ..targets })
}

/// The union of the lists in the object at `parent`: not more names together than the rules have it.
pub(super) fn union(
    parent: &str,
    users: Lists<'_>,
    channels: Lists<'_>,
    Rules { targets_max, scope }: Rules<'_>,
) -> Result<Targets, PushRefusal> {
    let (user_allowed, channel_allowed) =
        (|_: &Name| scope.check_user(), |channel: &Name| scope.check_channel(channel));
    let mut named = Names::new(targets_max, &user_allowed);
    named.add_lists(parent, ["user", "users"], users)?;
    let users = named.list;
    let mut named = Names::new(targets_max, &channel_allowed);
    named.add_lists(parent, ["channel", "channels"], channels)?;
    let channels = named.list;
    if users.len() + channels.len() > targets_max {
        return Err(too_many(parent, targets_max));
    }
    Ok(Targets { users, channels, broadcast: false })
}

/// The names in a list by itself: at most `most`.
pub(super) fn list(field: &str, raw: Option<&RawValue>, most: usize) -> Result<Vec<Name>, PushRefusal> {
    let all_allowed = |_: &Name| Ok(());
    let mut names = Names::new(most, &all_allowed);
    raw.map_or(Ok(()), |raw| names.add_list(raw, field))?;
    Ok(names.list)
}

pub(super) fn lone_surrogate(field: &str) -> PushRefusal {
    PushRefusal::rule("lone-surrogate", field, "a name must not contain half a surrogate pair")
}

pub(super) fn no_name(refusal: NameRefusal, field: &str) -> PushRefusal {
    let rule = match refusal {
        NameRefusal::Empty => "name-empty",
        NameRefusal::TooLong => "name-too-long",
        NameRefusal::ControlCharacter => "name-control-character",
    };
    PushRefusal::rule(rule, field, refusal.to_string())
}

fn too_many(field: &str, most: usize) -> PushRefusal {
    let detail = format!("a push has at most {most} users and channels (limits.targets)");
    PushRefusal::rule("targets-too-many", field, detail)
}

/// Whether `raw` is null or `[]`, which PHP writes for an empty array of targets.
fn is_empty(raw: &RawValue) -> bool {
    let inner = raw.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    raw.get() == "null" || inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

fn is_broadcast(raw: &RawValue) -> Result<bool, PushRefusal> {
    match (raw.get(), json::text(raw).as_deref()) {
        ("true" | "1", _) => Ok(true),
        ("false" | "0" | "null", _) => Ok(false),
        (_, Some(text @ ("" | "0" | "1"))) => flag(text),
        _ => Err(not_a_flag()),
    }
}

/// Whether a text that a map made says that a dispatch is for everyone.
pub(super) fn flag(text: &str) -> Result<bool, PushRefusal> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(not_a_flag()),
    }
}

fn not_a_flag() -> PushRefusal {
    let detail = "broadcast must be true or false (or 1 or 0)";
    PushRefusal::rule("broadcast-not-a-boolean", "/targets/broadcast", detail)
}

/// Names, each once, in the order in which they were listed.
struct Names<'a> {
    list: Vec<Name>,
    known: BTreeSet<Name>,
    most: usize,
    allowed: Allowed<'a>,
}

impl<'a> Names<'a> {
    fn new(most: usize, allowed: Allowed<'a>) -> Self {
        Self { list: Vec::new(), known: BTreeSet::new(), most, allowed }
    }

    fn add_lists(&mut self, parent: &str, keys: [&str; 2], lists: Lists<'_>) -> Result<(), PushRefusal> {
        for (key, raw) in keys.into_iter().zip(lists) {
            if let Some(raw) = raw {
                self.add_list(raw, &format!("{parent}/{key}"))?;
            }
        }
        Ok(())
    }

    /// Adds one name or several: a string, an integer, an array, an object's values (PHP writes arrays with
    /// gaps as objects), or null for none.
    fn add_list(&mut self, raw: &RawValue, field: &str) -> Result<(), PushRefusal> {
        match JsonKind::of(raw) {
            JsonKind::Null => Ok(()),
            JsonKind::Text => self.add(raw, || field.to_owned()),
            JsonKind::Array | JsonKind::Object => self.add_each(raw, field),
            JsonKind::Number if json::integer(raw).is_some() => self.add(raw, || field.to_owned()),
            JsonKind::Bool | JsonKind::Number => {
                let detail = "users and channels are a name or an array of names";
                Err(PushRefusal::rule("names-not-a-list", field, detail))
            }
        }
    }

    fn add_each(&mut self, raw: &RawValue, field: &str) -> Result<(), PushRefusal> {
        let mut added = Ok(());
        let syntax = json::each(raw.get(), |key, value| {
            if added.is_ok() {
                added = self.add(value, || below(field, key));
            }
        });
        syntax.map_err(|_| PushRefusal::not_json())?;
        added
    }

    fn add(&mut self, raw: &RawValue, field: impl Fn() -> String) -> Result<(), PushRefusal> {
        let text = read_text(raw).map_err(|refuse| refuse(&field()))?;
        if self.known.contains(&*text) {
            return Ok(());
        }
        if self.list.len() == self.most {
            return Err(too_many(&field(), self.most));
        }
        let name = Name::new(&text).map_err(|refusal| no_name(refusal, &field()))?;
        (self.allowed)(&name).map_err(|detail| PushRefusal::not_allowed(&field(), detail))?;
        self.known.insert(name.clone());
        self.list.push(name);
        Ok(())
    }
}

/// The text of a name: a string, or an integer. PHP sends ids as integers; the node server looked them up by
/// their decimal text.
fn read_text(raw: &RawValue) -> Result<Cow<'_, str>, fn(&str) -> PushRefusal> {
    if let Some(digits) = json::integer(raw) {
        return Ok(Cow::Borrowed(digits));
    }
    if JsonKind::of(raw) != JsonKind::Text {
        return Err(|field| {
            PushRefusal::rule("name-not-a-string", field, "a name must be a string or an integer")
        });
    }
    json::text(raw).ok_or(lone_surrogate as fn(&str) -> PushRefusal)
}

/// The path of a value inside `field`. A key is part of it only if it is short and plain, because the path
/// goes into answers and logs.
fn below(field: &str, key: Key<'_>) -> String {
    let member = match key {
        Key::Position(position) => return format!("{field}/{position}"),
        Key::Member(raw) => json::text(raw),
    };
    let plain = |key: &str| {
        key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    match member.as_deref() {
        Some(key) if plain(key) => format!("{field}/{key}"),
        _ => field.to_owned(),
    }
}
