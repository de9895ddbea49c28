//! What a client asks for: IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING, decoded and checked.
//!
//! Whether an IDENT is genuine is decided in [`crate::auth`].

use std::fmt;

use serde_json::value::RawValue;

use crate::history::Wanted;
use crate::json::{self, JsonKind, Members};
use crate::limits::{HISTORY_EVENTS_MAX, IDENT_DEPTH_MAX};
use crate::name::{Name, NameRefusal};
use crate::secret::Secret;

/// One command of a client.
///
/// ```
/// use turted_core::command::Command;
/// let data: Box<serde_json::value::RawValue> = serde_json::from_str(r#"{"channel":"chat"}"#)?;
/// assert!(matches!(Command::decode("JOIN", &[&data]), Ok(Command::Join(name)) if name.as_str() == "chat"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// IDENT: the client says who it is.
    Ident(Ident<'a>),
    /// JOIN: the client wants the events of a channel.
    Join(Name),
    /// JOIN with `history`, `since` or `presence`: the client wants more of a channel than its new events.
    JoinWith(Name, Extras),
    /// LEAVE: the client no longer wants the events of a channel.
    Leave(Name),
    /// PRESENCE: the client wants to know once who is in a channel.
    Presence(Name),
    /// ECHO: the client wants its argument back.
    Echo(Option<&'a RawValue>),
    /// PING: the client wants a sign of life, and its argument back.
    Ping(Option<&'a RawValue>),
}

/// What a client wants of a channel that it joins, beside its new events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Its last events.
    pub history: Option<Wanted>,
    /// To be told who is in it, again and again.
    pub presence: bool,
}

/// What an IDENT says. `Debug` shows only the user.
#[derive(Clone)]
pub struct Ident<'a> {
    /// The user that the client names: `username`, else `user`. An authenticator may name another one.
    pub user: Option<UserField>,
    /// The member `password`, if it is a string.
    pub password: Option<Secret>,
    /// The member `token`, if it is a string.
    pub token: Option<Secret>,
    /// The whole object as it was sent, nested at most [`IDENT_DEPTH_MAX`] deep. It may hold
    /// secrets: neither log nor return it.
    pub data: &'a RawValue,
}

impl fmt::Debug for Ident<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ident").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A user name, and how the reply repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserField {
    /// The name. Of a number it is the decimal text, as in the node server.
    pub name: Name,
    /// The name as JSON: a number, if the client sent one.
    pub json: String,
}

impl<'a> Command<'a> {
    /// Decodes the event `event` with its arguments, of which only the first counts.
    ///
    /// The event `message` with the name of a command as its argument is that command without data.
    ///
    /// # Errors
    /// The rule that the command breaks.
    pub fn decode(event: &'a str, args: &[&'a RawValue]) -> Result<Command<'a>, CommandRefusal> {
        let data = args.first().copied();
        if event != "message" {
            return Self::named(event, data);
        }
        let name = data.and_then(json::text).ok_or(CommandRefusal::MessageNotAString)?;
        Self::named(&name, None)
    }

    fn named(name: &str, data: Option<&'a RawValue>) -> Result<Self, CommandRefusal> {
        match name {
            "IDENT" => Ident::decode(object(data)?).map(Self::Ident),
            "JOIN" => join(object(data)?),
            "LEAVE" => channel(object(data)?).map(Self::Leave),
            "PRESENCE" => channel(object(data)?).map(Self::Presence),
            "ECHO" => Ok(Self::Echo(data)),
            "PING" => Ok(Self::Ping(data)),
            _ => Err(CommandRefusal::Unknown),
        }
    }
}

fn object(data: Option<&RawValue>) -> Result<&RawValue, CommandRefusal> {
    let data = data.filter(|data| JsonKind::of(data) != JsonKind::Null).ok_or(CommandRefusal::DataMissing)?;
    if JsonKind::of(data) == JsonKind::Object { Ok(data) } else { Err(CommandRefusal::DataNotAnObject) }
}

/// The values of `names` in `data`.
fn members<'a, const N: usize>(
    data: &'a RawValue,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], CommandRefusal> {
    let members = Members::read(data.get(), names).ok_or(CommandRefusal::DataNotAnObject)?;
    match members.duplicate {
        Some(name) => Err(CommandRefusal::DuplicateKey(name)),
        None => Ok(members.values),
    }
}

fn join<'a>(data: &'a RawValue) -> Result<Command<'a>, CommandRefusal> {
    let [history, since, presence] =
        members(data, ["history", "since", "presence"])?.map(|raw| raw.filter(|raw| raw.get() != "null"));
    let channel = channel(data)?;
    let presence = presence.map_or(Ok(false), wants_presence)?;
    let newest = history.map(history_events).transpose()?;
    let since =
        since.map(|raw| json::text(raw).and_then(|text| text.parse().ok()).ok_or(CommandRefusal::Since));
    let since = since.transpose()?;
    let history = match (newest, since) {
        (None | Some(0), None) => None,
        (newest, since) => Some(Wanted { newest: newest.unwrap_or(HISTORY_EVENTS_MAX), since }),
    };
    let extras = Extras { history, presence };
    Ok(match extras == Extras::default() {
        true => Command::Join(channel),
        false => Command::JoinWith(channel, extras),
    })
}

/// Whether a `join` with this `presence` wants to be told who is in the channel.
pub(crate) fn wants_presence(raw: &RawValue) -> Result<bool, CommandRefusal> {
    raw.get().parse().map_err(|_| CommandRefusal::Presence)
}

/// How many events of history are asked for.
fn history_events(raw: &RawValue) -> Result<usize, CommandRefusal> {
    let events = raw.get().parse().ok().filter(|events| *events <= HISTORY_EVENTS_MAX);
    events.ok_or(CommandRefusal::History)
}

fn channel(data: &RawValue) -> Result<Name, CommandRefusal> {
    let [channel] = members(data, ["channel"])?;
    let channel = channel.filter(|raw| !is_falsy(raw)).ok_or(CommandRefusal::ChannelMissing)?;
    let channel = json::text(channel).ok_or(CommandRefusal::ChannelNotAString)?;
    Name::new(&channel).map_err(CommandRefusal::Channel)
}

/// Whether JavaScript takes `raw` for false: the node server treated such names as missing.
fn is_falsy(raw: &RawValue) -> bool {
    matches!(raw.get(), "null" | "false" | "0" | "-0" | r#""""#)
}

impl<'a> Ident<'a> {
    /// Whether it contains a password or a token that may be wrong. An empty one is no guess.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        [&self.password, &self.token].into_iter().flatten().any(|secret| !secret.is_empty())
    }

    fn decode(data: &'a RawValue) -> Result<Self, CommandRefusal> {
        if json::is_deeper_than(data.get(), IDENT_DEPTH_MAX) {
            return Err(CommandRefusal::TooDeep);
        }
        let [username, user, password, token] = members(data, ["username", "user", "password", "token"])?;
        let named = username.filter(|raw| !is_falsy(raw)).or(user.filter(|raw| !is_falsy(raw)));
        Ok(Self {
            user: named.map(UserField::decode).transpose()?,
            password: password.and_then(Secret::read),
            token: token.and_then(Secret::read),
            data,
        })
    }
}

impl UserField {
    /// The user `name` as a string.
    #[must_use]
    pub fn from_name(name: Name) -> Self {
        let json = serde_json::Value::from(name.as_str()).to_string();
        Self { name, json }
    }

    /// The user that a JSON string or integer names.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn decode(raw: &RawValue) -> Result<Self, CommandRefusal> {
        if let Some(digits) = json::integer(raw) {
            let name = Name::new(digits).map_err(CommandRefusal::User)?;
            return Ok(Self { name, json: digits.to_owned() });
        }
        let text = json::text(raw).ok_or(CommandRefusal::UserNotAString)?;
        Name::new(&text).map(Self::from_name).map_err(CommandRefusal::User)
    }
}

/// Why a command is refused. The texts go to the client and are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// No command has this name.
    #[error("unknown command: there are IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING")]
    Unknown,
    /// `message` without the name of a command.
    #[error("message must be the name of a command")]
    MessageNotAString,
    /// IDENT, JOIN, LEAVE or PRESENCE without an argument, or with null.
    #[error("data missing")]
    DataMissing,
    /// The argument of IDENT, JOIN, LEAVE or PRESENCE is something else than an object.
    #[error("data must be an object")]
    DataNotAnObject,
    /// The data of an IDENT are nested deeper than [`IDENT_DEPTH_MAX`].
    #[error("data must not be nested deeper than {IDENT_DEPTH_MAX}")]
    TooDeep,
    /// The object has a member twice; readers disagree which of the two counts.
    #[error("duplicate key {0}")]
    DuplicateKey(&'static str),
    /// `channel` is missing, or empty in the sense of JavaScript.
    #[error("channel missing")]
    ChannelMissing,
    /// `channel` is no string.
    #[error("channel must be a string")]
    ChannelNotAString,
    /// `channel` is no name.
    #[error("channel: {0}")]
    Channel(#[source] NameRefusal),
    /// `history` is no number of events.
    #[error("history must be a whole number from 0 to {HISTORY_EVENTS_MAX}")]
    History,
    /// `since` is no position.
    #[error("since must be a cursor or a position")]
    Since,
    /// `presence` is neither true nor false.
    #[error("presence must be true or false")]
    Presence,
    /// `username` or `user` is neither a string nor an integer.
    #[error("user name must be a string or an integer")]
    UserNotAString,
    /// `username` or `user` is no name.
    #[error("user name: {0}")]
    User(#[source] NameRefusal),
}
