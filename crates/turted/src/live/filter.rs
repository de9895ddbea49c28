//! Which records a watcher wants. All that it names must hold.

use std::net::IpAddr;
use std::sync::Arc;

use turted_core::channel::ChannelPattern;
use turted_core::name::Name;

use super::record::{Kind, Record};

/// Which records a watcher wants, and whether it is shown payloads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    event: Option<ChannelPattern>,
    user: Option<Name>,
    channel: Option<Name>,
    address: Option<IpAddr>,
    kinds: Option<Vec<Kind>>,
    shows_payload: bool,
    node: Option<Arc<str>>,
}

/// A parameter that is unknown, or whose value is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterRefusal;

impl Filter {
    /// Reads the parameters of a watcher, each of which is there once.
    pub(crate) fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FilterRefusal> {
        let mut filter = Self::default();
        for (key, value) in parameters {
            let name = || Name::new(value).map_err(|_| FilterRefusal);
            match key {
                "event" => filter.event = Some(ChannelPattern::parse(value).map_err(|_| FilterRefusal)?),
                "user" => filter.user = Some(name()?),
                "channel" => filter.channel = Some(name()?),
                "address" => {
                    let address: IpAddr = value.parse().map_err(|_| FilterRefusal)?;
                    filter.address = Some(address.to_canonical());
                }
                "type" => filter.kinds = Some(value.split(',').map(kind).collect::<Result<_, _>>()?),
                "payload" => filter.shows_payload = flag(value)?,
                _ => return Err(FilterRefusal),
            }
        }
        Ok(filter)
    }

    /// The same, and each record says that it is of this node.
    pub(crate) fn naming(self, node: &str) -> Self {
        Self { node: Some(node.into()), ..self }
    }

    /// The node that each record names.
    pub(super) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Whether it has a user, a channel or an address. Only such records do all nodes tell.
    pub(crate) fn is_narrow(&self) -> bool {
        self.user.is_some() || self.channel.is_some() || self.address.is_some()
    }

    /// Whether payloads are shown.
    pub(crate) fn shows_payload(&self) -> bool {
        self.shows_payload
    }

    /// The user whose connections are watched.
    pub(super) fn user(&self) -> Option<&Name> {
        self.user.as_ref()
    }

    /// Whether a record is wanted.
    pub(super) fn passes(&self, record: &Record<'_>) -> bool {
        self.passes_but_user(record) && self.user.as_ref().is_none_or(|user| record.users.contains(user))
    }

    /// The same, whichever user is wanted.
    pub(super) fn passes_but_user(&self, record: &Record<'_>) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&record.kind))
            && self.address.is_none_or(|address| record.address == Some(address))
            && self.event.as_ref().is_none_or(|event| record.event.is_some_and(|own| event.covers(own)))
            && self.channel.as_ref().is_none_or(|channel| record.is_about(channel))
    }
}

fn kind(word: &str) -> Result<Kind, FilterRefusal> {
    Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or(FilterRefusal)
}

fn flag(value: &str) -> Result<bool, FilterRefusal> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(FilterRefusal),
    }
}
