//! What a key may push: which events, and to which targets.

use crate::channel::ChannelPattern;
use crate::name::Name;

/// What a key may push. A push of anything else is refused with the rule `key-not-allowed` and its field.
///
/// ```
/// use turted_core::channel::ChannelPattern;
/// use turted_core::push::{self, PushLimits, Scope};
/// let news = ChannelPattern::parse("news.*").unwrap();
/// let scope = Scope { channels: Some(vec![news]), users: false, broadcast: false, ..Scope::ALL };
/// let push = |body: &str| {
///     push::parse(body.as_bytes(), PushLimits::default()).and_then(|parsed| parsed.into_dispatches_of(&scope))
/// };
/// assert!(push(r#"{"event":"E","targets":{"channels":["news.1"]}}"#).is_ok());
/// let refusal = push(r#"{"event":"E","targets":{"channels":["news.1","chat"]}}"#).unwrap_err();
/// assert_eq!((refusal.rule, refusal.field.as_deref()), ("key-not-allowed", Some("/targets/channels/1")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The events; `None` for all.
    pub events: Option<Vec<ChannelPattern>>,
    /// The channels; `None` for all.
    pub channels: Option<Vec<ChannelPattern>>,
    /// Whether users may be targets.
    pub users: bool,
    /// Whether everyone may be the target.
    pub broadcast: bool,
}

impl Scope {
    /// Everything may be pushed.
    pub const ALL: Self = Self { events: None, channels: None, users: true, broadcast: true };

    pub(super) fn check_event(&self, event: &Name) -> Result<(), &'static str> {
        allow(covers(self.events.as_deref(), event), "the key may not push this event (push.keys)")
    }

    pub(super) fn check_user(&self) -> Result<(), &'static str> {
        allow(self.users, "the key may not push to users (push.keys)")
    }

    pub(super) fn check_channel(&self, channel: &Name) -> Result<(), &'static str> {
        allow(covers(self.channels.as_deref(), channel), "the key may not push to this channel (push.keys)")
    }

    pub(super) fn check_broadcast(&self) -> Result<(), &'static str> {
        allow(self.broadcast, "the key may not push to everyone (push.keys)")
    }
}

fn covers(patterns: Option<&[ChannelPattern]>, name: &Name) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(name)))
}

fn allow(is_allowed: bool, otherwise: &'static str) -> Result<(), &'static str> {
    is_allowed.then_some(()).ok_or(otherwise)
}
