//! Messages that are accepted together: the order of dispatches is locked once for all of them, and a worker that waits
//! is woken once. With a log on disk each message is accepted by itself, and the log writer takes together what waits.

use turted_core::dispatch::Dispatch;

use super::keys::Key;
use crate::config::Limits;
use crate::hub::dispatch::log;
use crate::hub::dispatch::queue::PushedKey;

/// A portion takes no more than this part of an inbox, so that a source leaves nearly half of it to pushes. By default
/// that is more than a source of RabbitMQ or a stream reads at once.
const SHARE: usize = 16;

/// How much is accepted together. A message that is larger is accepted by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortionLimits {
    dispatches: usize,
    bytes: usize,
}

impl PortionLimits {
    /// Each message is accepted by itself.
    pub(super) const ONE: Self = Self { dispatches: 0, bytes: 0 };

    pub(super) fn new(limits: &Limits) -> Self {
        let bytes = limits.inbox_bytes.min(limits.expansion_bytes);
        Self { dispatches: limits.inbox_dispatches / SHARE, bytes: bytes / SHARE }
    }
}

/// A message that keeps every rule and was not accepted before.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) key: Key,
}

impl Ready {
    /// What counts in an inbox, or among the expansions of one push, whichever is more.
    fn bytes(&self) -> usize {
        let in_inbox = self.dispatches.iter().map(log::bytes_of).sum();
        Dispatch::expansion_of(&self.dispatches).max(in_inbox)
    }
}

/// Messages in their order, to be accepted all or none.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    pub(super) dispatches: Vec<Dispatch>,
    /// One for each message.
    pub(super) keys: Vec<Key>,
    bytes: usize,
}

impl Portion {
    /// How many messages it has.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a message, unless that must wait until those before it are accepted. Returns whether it was added.
    pub(super) fn add(&mut self, ready: Ready, limits: PortionLimits) -> bool {
        let (count, bytes) = (self.dispatches.len() + ready.dispatches.len(), self.bytes + ready.bytes());
        let is_too_much = count > limits.dispatches || bytes > limits.bytes;
        if self.len() > 0 && (is_too_much || self.may_be(ready.key)) {
            return false;
        }
        self.bytes = bytes;
        self.keys.push(ready.key);
        self.dispatches.extend(ready.dispatches);
        true
    }

    /// Whether a message is one of these, delivered again. Without an id it is compared with those of earlier
    /// connections alone.
    fn may_be(&self, key: Key) -> bool {
        matches!(key, Key::Named(_)) && self.keys.contains(&key)
    }

    /// What the log keeps of it, if it has one message and that has an id.
    pub(super) fn pushed_key(&self, source: &str) -> Option<PushedKey> {
        let [key] = *self.keys else { return None };
        key.pushed(source)
    }

    /// Whether no other message is to be read for it.
    pub(super) fn is_full(&self, limits: PortionLimits) -> bool {
        self.dispatches.len() >= limits.dispatches || self.bytes >= limits.bytes
    }
}
