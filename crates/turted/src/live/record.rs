//! One record of the live view: what it is, and how it is written. `docs/live-view.md` has their shapes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use turted_core::connection_id::ConnectionId;
use turted_core::cursor::Cursor;
use turted_core::limits::WATCHED_PAYLOAD_BYTES_MAX;
use turted_core::name::Name;

/// How many users, and how many channels, of a push are named.
pub(super) const NAMES_MAX: usize = 100;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record: which node is watched.
    Watching,
    /// Another node does not tell what happens on it.
    Silent,
    Push,
    PushRefused,
    Connected,
    Identified,
    IdentRefused,
    Joined,
    JoinRefused,
    Left,
    Closed,
    Action,
}

impl Kind {
    /// Those that can be asked for.
    pub(crate) const ALL: [Self; 10] = [
        Self::Push,
        Self::PushRefused,
        Self::Connected,
        Self::Identified,
        Self::IdentRefused,
        Self::Joined,
        Self::JoinRefused,
        Self::Left,
        Self::Closed,
        Self::Action,
    ];

    /// Its `type`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Silent => "silent",
            Self::Push => "push",
            Self::PushRefused => "push-refused",
            Self::Connected => "connected",
            Self::Identified => "identified",
            Self::IdentRefused => "ident-refused",
            Self::Joined => "joined",
            Self::JoinRefused => "join-refused",
            Self::Left => "left",
            Self::Closed => "closed",
            Self::Action => "action",
        }
    }
}

/// Something that happened. Fields that it does not have are left out.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    #[serde(rename = "type", serialize_with = "word")]
    pub(crate) kind: Kind,
    #[serde(serialize_with = "millis")]
    pub(crate) at: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<&'a str>,
    /// The number of the node, if it is one of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster_node: Option<u16>,
    /// What an operator did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) connection: Option<ConnectionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) carrier: Option<&'static str>,
    /// The name of the key whose password a push has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    /// The users that a connection is, or says to be.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "names")]
    pub(crate) users: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub(crate) channel: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub(crate) event: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) targets: Option<ShownTargets<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) position: Option<Cursor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reached: Option<usize>,
    /// How many connections an action concerned, or how many events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<usize>,
    /// The channels of a push, to be compared with filters.
    #[serde(skip)]
    pub(crate) channels: &'a [Name],
    #[serde(skip)]
    pub(crate) payload: Option<&'a Payload>,
}

/// The first targets of a push.
#[derive(Debug, Serialize)]
pub(crate) struct ShownTargets<'a> {
    #[serde(serialize_with = "names")]
    pub(super) users: &'a [Name],
    #[serde(serialize_with = "names")]
    pub(super) channels: &'a [Name],
    pub(super) broadcast: bool,
    /// How many others there are.
    pub(super) more: usize,
}

/// What is shown of a payload: a member of its record.
#[derive(Debug)]
pub(crate) struct Payload(String);

impl Payload {
    /// The whole payload as it is, or the beginning of a long one as a text.
    pub(super) fn of(payload: &RawValue) -> Self {
        let text = payload.get();
        if text.len() <= WATCHED_PAYLOAD_BYTES_MAX {
            // A line ends where the record does. Within texts JSON has no such characters.
            return Self(format!(r#","payload":{}"#, text.replace(['\n', '\r'], " ")));
        }
        let whole = (0..=WATCHED_PAYLOAD_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end));
        let start = serde_json::to_string(&text[..whole.unwrap_or(0)]).expect("a text is JSON");
        Self(format!(r#","payload_start":{start}"#))
    }
}

impl Record<'_> {
    /// A record that happens now, of this kind.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: SystemTime::now(),
            node: None,
            cluster_node: None,
            action: None,
            connection: None,
            public_id: None,
            source: None,
            address: None,
            transport: None,
            version: None,
            carrier: None,
            key: None,
            users: Vec::new(),
            method: None,
            channel: None,
            reason: None,
            seconds: None,
            sent_bytes: None,
            rule: None,
            field: None,
            event: None,
            targets: None,
            bytes: None,
            position: None,
            reached: None,
            count: None,
            channels: &[],
            payload: None,
        }
    }

    /// Whether it is about a channel.
    pub(super) fn is_about(&self, channel: &Name) -> bool {
        self.channel == Some(channel) || self.channels.contains(channel)
    }

    /// Writes it as one line.
    pub(super) fn write(&self, with_payload: bool) -> String {
        let mut json = serde_json::to_string(self).expect("texts and numbers are JSON");
        if let Some(Payload(member)) = self.payload.filter(|_| with_payload) {
            json.truncate(json.len() - 1);
            json.push_str(member);
            json.push('}');
        }
        json
    }
}

/// A record that says which node it is of.
pub(super) fn named(record: &str, node: &str) -> Arc<str> {
    let node = serde_json::to_string(node).expect("a text is JSON");
    let members = record.strip_suffix('}').unwrap_or(record);
    format!(r#"{members},"node":{node}}}"#).into()
}

/// A record that says how many others were dropped in its place.
pub(super) fn dropped(count: u64) -> Arc<str> {
    format!(r#"{{"type":"dropped","dropped":{count}}}"#).into()
}

fn word<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.word())
}

fn millis<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // A clock that stands before 1970 is no reason to fail.
    serializer.serialize_u128(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
}

fn shown<S: Serializer>(value: &Option<impl std::fmt::Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn name<S: Serializer>(name: &Option<&Name>, serializer: S) -> Result<S::Ok, S::Error> {
    name.map(Name::as_str).serialize(serializer)
}

fn names<S: Serializer>(names: &[Name], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(Name::as_str))
}
