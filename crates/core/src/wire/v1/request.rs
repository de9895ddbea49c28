//! The requests of a client.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::{Error, ErrorCode};
use crate::command::{Command, CommandRefusal, wants_presence};
use crate::cursor::Cursor;
use crate::json::{self, JsonKind, Members};
use crate::limits::{CHANNELS_PER_JOIN_MAX, REQUEST_ID_BYTES_MAX};
use crate::name::{Name, NameRefusal};

/// One request.
///
/// ```
/// use turted_core::command::Command;
/// use turted_core::wire::v1::{Action, decode};
/// let request = decode(r#"{"id":1,"do":"join","channel":"chat"}"#).unwrap();
/// assert_eq!(request.id.map(|id| id.as_json()), Some("1"));
/// assert!(matches!(request.action, Action::Command(Command::Join(name)) if name.as_str() == "chat"));
/// ```
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Identifies the request in its reply. A request without an id is answered only if it is refused.
    pub id: Option<Id<'a>>,
    /// What the client asks for.
    pub action: Action<'a>,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Action<'a> {
    /// `ident`, `join`, `leave`, `presence`, `echo` or `ping`.
    Command(Command<'a>),
    /// `join` with `channels`.
    JoinEach(JoinEach<'a>),
    /// `resume`. Its request has an id.
    Resume(Resume<'a>),
}

/// Several channels that a client wants to join, each for itself, in this order.
#[derive(Clone, Debug)]
pub struct JoinEach<'a> {
    /// The channels.
    pub channels: Vec<AskedChannel<'a>>,
    /// Whether it wants to be told who is in them.
    pub presence: bool,
}

/// One of several channels that a client wants to join.
#[derive(Clone, Debug)]
pub struct AskedChannel<'a> {
    /// The channel as it was sent, a JSON string, which the reply repeats.
    pub json: &'a RawValue,
    /// The same as a name, or the rule that it breaks.
    pub name: Result<Name, Error>,
}

/// Asks to be again who the client was before its connection broke, and for the events it missed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume<'a> {
    /// The session of the greeting, as the client sent it.
    pub session: Cow<'a, str>,
    /// The last position the client saw.
    pub cursor: Cursor,
}

/// The id of a request: a JSON string or number, repeated byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct Id<'a>(&'a RawValue);

impl<'a> Id<'a> {
    /// The id as it was sent.
    #[must_use]
    pub fn as_json(self) -> &'a str {
        self.0.get()
    }

    /// A copy of the id that outlives the request.
    #[must_use]
    pub fn keep(self) -> KeptId {
        KeptId(self.0.to_owned())
    }

    fn read(raw: &'a RawValue) -> Result<Option<Self>, Error> {
        match JsonKind::of(raw) {
            JsonKind::Null => Ok(None),
            JsonKind::Text | JsonKind::Number if raw.get().len() <= REQUEST_ID_BYTES_MAX => {
                Ok(Some(Self(raw)))
            }
            _ => Err(Error::new(ErrorCode::IdInvalid, "id must be a short string or number")),
        }
    }
}

/// The [`Id`] of a request that is answered later.
#[derive(Clone, Debug)]
pub struct KeptId(Box<RawValue>);

impl KeptId {
    /// The id.
    #[must_use]
    pub fn get(&self) -> Id<'_> {
        Id(&self.0)
    }
}

/// A request that breaks a rule, to be answered by [`encode_error`](super::encode_error).
#[derive(Clone, Debug)]
pub struct Refused<'a> {
    /// The id of the request, if it has a valid one.
    pub id: Option<Id<'a>>,
    /// The rule, and what breaks it.
    pub error: Error,
}

impl From<Error> for Refused<'_> {
    fn from(error: Error) -> Self {
        Self { id: None, error }
    }
}

/// Decodes a request.
///
/// # Errors
/// The rule that `text` breaks. The connection may go on.
///
/// # Limits
/// The caller limits the bytes of `text`; its depth does not matter.
pub fn decode(text: &str) -> Result<Request<'_>, Refused<'_>> {
    let message: &RawValue =
        serde_json::from_str(text).map_err(|_| Error::new(ErrorCode::NotJson, "the message is not json"))?;
    let names = ["id", "do", "data", "session", "cursor", "channels"];
    let members = Members::read(message.get(), names)
        .ok_or_else(|| Error::new(ErrorCode::NotAnObject, "the message is not an object"))?;
    let [id, name, data, session, cursor, channels] = members.values;
    let channels = channels.filter(|channels| JsonKind::of(channels) != JsonKind::Null);
    if members.duplicate == Some("id") {
        return Err(Error::duplicate_key("id").into());
    }
    let id = id.map_or(Ok(None), Id::read)?;
    let action = match members.duplicate {
        Some(name) => Err(Error::duplicate_key(name)),
        None if is(name, "resume") => Resume::read(id, [session, cursor]).map(Action::Resume),
        None => match channels.filter(|_| is(name, "join")) {
            Some(channels) => read_channels(channels, message).map(Action::JoinEach),
            None => command(name, data, message).map(Action::Command),
        },
    };
    action.map(|action| Request { id, action }).map_err(|error| Refused { id, error })
}

/// Whether a request asks for this command.
fn is(name: Option<&RawValue>, command: &str) -> bool {
    name.and_then(json::text).as_deref() == Some(command)
}

/// The channels of a `join` that names several. A list that is none is refused as a whole; a string in it that
/// is no name is refused for itself.
fn read_channels<'a>(list: &'a RawValue, message: &RawValue) -> Result<JoinEach<'a>, Error> {
    let invalid = |reason: &'static str| Error::new(ErrorCode::ChannelsInvalid, reason);
    let members = Members::read(message.get(), ["channel", "history", "since", "presence"]);
    if let Some(name) = members.as_ref().and_then(|members| members.duplicate) {
        return Err(Error::duplicate_key(name));
    }
    let [channel, history, since, presence] = members
        .map_or([None; 4], |members| members.values)
        .map(|value| value.filter(|value| JsonKind::of(value) != JsonKind::Null));
    let presence = presence.map_or(Ok(false), wants_presence)?;
    if channel.is_some() {
        return Err(invalid("join has channel or channels, not both"));
    }
    if history.or(since).is_some() {
        return Err(invalid("history and since need channel, not channels"));
    }
    if JsonKind::of(list) != JsonKind::Array {
        return Err(invalid("channels must be a list"));
    }
    let (mut channels, mut has_others) = (Vec::new(), false);
    let syntax = json::each(list.get(), |_, item| match JsonKind::of(item) {
        // One channel above the limit is enough to know that there are too many.
        JsonKind::Text if channels.len() <= CHANNELS_PER_JOIN_MAX => channels.push(AskedChannel::read(item)),
        JsonKind::Text => {}
        _ => has_others = true,
    });
    match channels.len() {
        _ if syntax.is_err() || has_others => Err(invalid("channels must be strings")),
        0 => Err(invalid("channels must not be empty")),
        1..=CHANNELS_PER_JOIN_MAX => Ok(JoinEach { channels, presence }),
        _ => Err(invalid("too many channels in one join")),
    }
}

impl<'a> AskedChannel<'a> {
    fn read(json: &'a RawValue) -> Self {
        let name = json::text(json).ok_or(CommandRefusal::ChannelNotAString);
        let name = name.and_then(|text| match Name::new(&text) {
            Err(NameRefusal::Empty) => Err(CommandRefusal::ChannelMissing),
            name => name.map_err(CommandRefusal::Channel),
        });
        Self { json, name: name.map_err(Error::from) }
    }
}

fn command<'a>(
    name: Option<&RawValue>,
    data: Option<&'a RawValue>,
    message: &'a RawValue,
) -> Result<Command<'a>, Error> {
    let name = name.and_then(json::text).ok_or(ErrorCode::CommandMissing);
    let name = name.map_err(|code| Error::new(code, "do must be the name of a command"))?;
    let decoded = match &*name {
        "ident" => Command::decode("IDENT", data.as_slice()),
        // The channel is a member of the message itself.
        "join" => Command::decode("JOIN", &[message]),
        "leave" => Command::decode("LEAVE", &[message]),
        "presence" => Command::decode("PRESENCE", &[message]),
        "echo" => Command::decode("ECHO", data.as_slice()),
        "ping" => Ok(Command::Ping(None)),
        _ => return Err(Error::new(ErrorCode::CommandUnknown, "unknown command")),
    };
    decoded.map_err(Error::from)
}

impl<'a> Resume<'a> {
    fn read(id: Option<Id<'_>>, [session, cursor]: [Option<&'a RawValue>; 2]) -> Result<Self, Error> {
        if id.is_none() {
            return Err(Error::new(ErrorCode::IdMissing, "resume without an id"));
        }
        let session = session.and_then(json::text).filter(|session| !session.is_empty());
        let session =
            session.ok_or_else(|| Error::new(ErrorCode::SessionInvalid, "session must be a string"))?;
        let cursor = cursor.and_then(json::text).and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.ok_or_else(|| Error::new(ErrorCode::CursorInvalid, "cursor is not a cursor"))?;
        Ok(Self { session, cursor })
    }
}
