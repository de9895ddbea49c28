//! What the log tells of pushes at level debug: one line for each that was accepted, and for each that was not. The live view
//! is told of the same pushes; of those that were accepted by their order, which numbers them.
//!
//! `docs/logging.md` lists the lines; a test compares. Payloads are not among their fields, and text that a
//! stranger chose is cut or bounded, and escaped. Nothing is computed for a line that the log level leaves out.

use std::net::IpAddr;
use std::sync::Arc;

use tracing::{Level, debug, enabled};
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;

use crate::live::{Kind, Live, Origin, Record};

/// Bytes of the name of a field in a push, which its sender chose.
const FIELD_BYTES_MAX: usize = 128;
/// How many users, and how many channels, of a push are named.
const NAMES_MAX: usize = 3;

/// A push was not accepted.
pub(crate) fn push_refused(
    live: &Live,
    address: IpAddr,
    (rule, field): (&str, Option<&str>),
    key: Option<&str>,
) {
    let field = field.map(cut);
    debug!(%address, rule, field, key, "push refused");
    live.tell(|| Record {
        source: Some("rest"),
        address: Some(address),
        rule: Some(rule),
        field,
        key,
        ..Record::new(Kind::PushRefused)
    });
}

/// A message of a source was not accepted.
pub(crate) fn message_refused(live: &Live, source: &str, rule: &str) {
    live.tell(|| Record { source: Some(source), rule: Some(rule), ..Record::new(Kind::PushRefused) });
}

/// The beginning of the name of a field, in whole characters.
fn cut(field: &str) -> &str {
    let whole = (0..=field.len().min(FIELD_BYTES_MAX)).rev().find(|end| field.is_char_boundary(*end));
    &field[..whole.unwrap_or(0)]
}

/// Where pushes come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pusher<'a> {
    pub(crate) source: &'a str,
    pub(crate) address: Option<IpAddr>,
    /// The name of the key whose password they have.
    pub(crate) key: Option<&'a str>,
}

impl<'a> Pusher<'a> {
    pub(crate) fn of(source: &'a str) -> Self {
        Self { source, address: None, key: None }
    }

    /// The same, kept until its pushes are told.
    pub(super) fn kept(self) -> Arc<Origin> {
        let Self { source, address, key } = self;
        Arc::new(Origin { source: source.into(), address, key: key.map(Into::into) })
    }
}

/// Pushes of one request that will be logged: what is known of them before they are dispatched.
#[derive(Debug)]
pub(crate) struct Pushes {
    source: String,
    address: Option<IpAddr>,
    key: Option<String>,
    pushes: Vec<Push>,
}

#[derive(Debug)]
struct Push {
    event: Name,
    users: usize,
    channels: usize,
    broadcast: bool,
    /// The first users and channels, as a list.
    targets: String,
    bytes: usize,
}

impl Push {
    fn of(dispatch: &Dispatch) -> Self {
        let Targets { users, channels, broadcast } = &dispatch.targets;
        let first = users.iter().take(NAMES_MAX).chain(channels.iter().take(NAMES_MAX));
        Self {
            event: dispatch.event.clone(),
            users: users.len(),
            channels: channels.len(),
            broadcast: *broadcast,
            targets: first.map(|name| format!("{:?}", name.as_str())).collect::<Vec<_>>().join(","),
            bytes: dispatch.payload.get().len(),
        }
    }
}

impl Pushes {
    /// `None` if the log level leaves these lines out.
    pub(crate) fn of(sender: Pusher<'_>, dispatches: &[Dispatch]) -> Option<Self> {
        let Pusher { source, address, key } = sender;
        enabled!(Level::DEBUG).then(|| Self {
            source: source.to_owned(),
            address,
            key: key.map(str::to_owned),
            pushes: dispatches.iter().map(Push::of).collect(),
        })
    }

    /// Logs the push at this index, and how many connections of this node it reached, if that was counted.
    pub(crate) fn tell(&self, index: usize, reached: Option<usize>) {
        let Some(Push { event, users, channels, broadcast, targets, bytes }) = self.pushes.get(index) else {
            return;
        };
        debug!(
            source = self.source,
            address = self.address.map(tracing::field::display),
            key = self.key,
            event = event.as_str(),
            users,
            channels,
            broadcast,
            %targets,
            bytes,
            reached,
            "push"
        );
    }

    /// Logs all of them, without how many connections they reached.
    pub(crate) fn tell_uncounted(&self) {
        (0..self.pushes.len()).for_each(|index| self.tell(index, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_field_is_cut_to_128_bytes_and_whole_characters() {
        let field = format!("{}\u{e4}", "a".repeat(127));
        assert_eq!((cut(&field).len(), cut(&field[1..]).len(), cut("/event")), (127, 128, "/event"));
    }
}
