//! A backend that does what `docs/hooks.md` says under "A backend that is right", and nothing else: it knows who is online.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::backend::Batch;

/// What it knows of one node.
#[derive(Debug, Default)]
pub(super) struct Reference {
    seen: BTreeSet<(String, u64)>,
    /// Users, and users in channels, with whether that is doubtful.
    known: BTreeMap<(String, Option<String>), bool>,
    /// Whether the server has stopped, and not started since.
    is_stopped: bool,
    /// How often it was told that all who are online were told.
    pub(super) synced: usize,
}

impl Reference {
    /// What these batches, repeats included, tell.
    pub(super) fn of(batches: &[Batch]) -> Self {
        let mut reference = Self::default();
        batches.iter().for_each(|batch| reference.hear(&batch.json));
        reference
    }

    fn hear(&mut self, batch: &Value) {
        let number = (batch["life"].as_str().unwrap().to_owned(), batch["sequence"].as_u64().unwrap());
        if self.seen.insert(number) {
            batch["records"].as_array().unwrap().iter().for_each(|record| self.apply(record));
        }
    }

    fn apply(&mut self, record: &Value) {
        let text = |key: &str| record[key].as_str().map(str::to_owned);
        let name = || (text("user").unwrap(), text("channel"));
        match record["type"].as_str().unwrap() {
            "stopped" => self.is_stopped = true,
            "started" => {
                self.is_stopped = false;
                self.doubt();
            }
            "gap" => self.doubt(),
            "user-online" | "joined" => drop(self.known.insert(name(), false)),
            "left" => drop(self.known.remove(&name())),
            "user-offline" => {
                let user = text("user").unwrap();
                self.known.retain(|(other, _), _| *other != user);
            }
            "synced" => {
                self.known.retain(|_, is_doubtful| !*is_doubtful);
                self.synced += 1;
            }
            _ => {}
        }
    }

    fn doubt(&mut self) {
        self.known.values_mut().for_each(|is_doubtful| *is_doubtful = true);
    }

    /// The time is over that a restart takes.
    pub(super) fn give_up(&mut self) {
        if self.is_stopped {
            self.known.clear();
        }
    }

    /// The users that are online.
    pub(super) fn users(&self) -> BTreeSet<String> {
        self.known.keys().filter(|(_, channel)| channel.is_none()).map(|(user, _)| user.clone()).collect()
    }

    /// The users in this channel.
    pub(super) fn members(&self, channel: &str) -> BTreeSet<String> {
        let members = self.known.keys().filter(|(_, other)| other.as_deref() == Some(channel));
        members.map(|(user, _)| user.clone()).collect()
    }
}
