//! What a client is answered, as JSON: an event with one argument, or an acknowledgement.
//!
//! Events and arguments are those of the node server, byte for byte; acknowledgements are new.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::auth::Identity;
use crate::history::Following;
use crate::name::Name;
use crate::wire::json::push_string;

/// The answer to one command.
///
/// ```
/// use turted_core::{name::Name, reply::Reply};
/// let name = Name::new("chat").unwrap();
/// let reply = Reply::Joined(&name);
/// assert_eq!((reply.event(), reply.argument().as_str()), ("OK", r#"{"channel":"chat"}"#));
/// assert_eq!(reply.ack(), r#"{"ok":true,"channel":"chat"}"#);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// The IDENT was genuine.
    Identified(&'a Identified),
    /// The channel is joined.
    Joined(&'a Name),
    /// The channel is joined, and so much of its history follows.
    JoinedFrom(&'a Name, Following),
    /// The channel is left.
    Left(&'a Name),
    /// Who is in the channel follows.
    Present(&'a Name),
    /// The argument of an ECHO.
    Echo(Option<&'a RawValue>),
    /// The argument of a PING.
    Pong(Option<&'a RawValue>),
    /// The command was refused, with the reason.
    Refused(&'a str),
}

/// What an IDENT that was genuine has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Who the client is.
    pub identity: Identity,
    /// How long the proof is good by its own word; `None` if it does not expire.
    pub expires_in: Option<Duration>,
    /// The channels that the connection has lost by it.
    pub left: Vec<Name>,
}

impl From<Identity> for Identified {
    fn from(identity: Identity) -> Self {
        Self { identity, expires_in: None, left: Vec::new() }
    }
}

impl Reply<'_> {
    /// The name of the event that carries the answer.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::Identified(_)
            | Self::Joined(_)
            | Self::JoinedFrom(..)
            | Self::Left(_)
            | Self::Present(_) => "OK",
            Self::Echo(_) => "ECHO",
            Self::Pong(_) => "PONG",
            Self::Refused(_) => "ERROR",
        }
    }

    /// The argument of the event, as JSON. Echoed values are repeated byte for byte; a missing one is `null`.
    #[must_use]
    pub fn argument(&self) -> String {
        match self {
            Self::Echo(data) | Self::Pong(data) => data.map_or("null", RawValue::get).to_owned(),
            Self::Refused(reason) => quoted(reason),
            _ => self.object(""),
        }
    }

    /// The answer to a client that asked for an acknowledgement, a JSON object.
    #[must_use]
    pub fn ack(&self) -> String {
        match self {
            Self::Pong(None) => r#"{"ok":true}"#.to_owned(),
            Self::Refused(_) => self.object(r#""ok":false,"#),
            _ => self.object(r#""ok":true,"#),
        }
    }

    /// A JSON object: the members in `first`, each followed by a comma, then those of the reply.
    fn object(&self, first: &str) -> String {
        let (key, value) = match self {
            Self::Identified(identified) => (r#""username":"#, identified.identity.username_json.clone()),
            Self::Joined(name) | Self::Left(name) | Self::Present(name) => {
                (r#""channel":"#, quoted(name.as_str()))
            }
            Self::JoinedFrom(name, Following { replayed, complete }) => {
                let name = quoted(name.as_str());
                (r#""channel":"#, format!(r#"{name},"replayed":{replayed},"complete":{complete}"#))
            }
            Self::Echo(_) | Self::Pong(_) => (r#""data":"#, self.argument()),
            Self::Refused(reason) => (r#""error":"#, quoted(reason)),
        };
        ["{", first, key, &value, "}"].concat()
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    push_string(&mut quoted, text);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_is_the_same_bytes_as_in_the_node_server() {
        let number = Identity { name: Name::new("7").unwrap(), username_json: "7".to_owned() };
        let name = Name::new("a\"\u{e9}\u{2028}").unwrap();
        let data: Box<RawValue> = serde_json::from_str(r#"{"b" : 1e400}"#).unwrap();
        let cases = [
            (
                Reply::Identified(&number.clone().into()),
                "OK",
                r#"{"username":7}"#,
                r#"{"ok":true,"username":7}"#,
            ),
            (
                Reply::Joined(&name),
                "OK",
                "{\"channel\":\"a\\\"\u{e9}\u{2028}\"}",
                "{\"ok\":true,\"channel\":\"a\\\"\u{e9}\u{2028}\"}",
            ),
            (
                Reply::JoinedFrom(&number.name, Following { replayed: 3, complete: false }),
                "OK",
                r#"{"channel":"7","replayed":3,"complete":false}"#,
                r#"{"ok":true,"channel":"7","replayed":3,"complete":false}"#,
            ),
            (Reply::Left(&number.name), "OK", r#"{"channel":"7"}"#, r#"{"ok":true,"channel":"7"}"#),
            (Reply::Echo(Some(&data)), "ECHO", r#"{"b" : 1e400}"#, r#"{"ok":true,"data":{"b" : 1e400}}"#),
            (Reply::Echo(None), "ECHO", "null", r#"{"ok":true,"data":null}"#),
            (Reply::Pong(Some(&data)), "PONG", r#"{"b" : 1e400}"#, r#"{"ok":true,"data":{"b" : 1e400}}"#),
            (Reply::Pong(None), "PONG", "null", r#"{"ok":true}"#),
            (Reply::Refused("no \"x\""), "ERROR", r#""no \"x\"""#, r#"{"ok":false,"error":"no \"x\""}"#),
        ];
        for (reply, event, argument, ack) in cases {
            assert_eq!((reply.event(), &*reply.argument(), &*reply.ack()), (event, argument, ack));
        }
    }
}
