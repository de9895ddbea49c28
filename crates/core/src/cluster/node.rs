//! What a node says of itself in each heartbeat, and how far it has come.

use std::net::SocketAddr;

use super::head::{cursor, option, put_cursor, put_option, put_socket, socket};
use crate::cursor::Cursor;
use crate::name::Name;
use crate::record::field::{Fields, Malformed, put_count, put_name};

/// Rules that a heartbeat may name: there are fewer keys that nodes should have alike.
pub const RULES_MAX: usize = 128;

/// Least bytes of a rule: its name and a number.
const RULE_BYTES_MIN: usize = 10;

/// How far a node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last entry that it has read.
    pub read: Option<Cursor>,
    /// The last entry of its own of which it was told that it is in the log.
    pub acknowledged: Option<Cursor>,
}

impl Progress {
    /// Whether the node knows an entry of an epoch before `begun` that is behind `end`, where those epochs ended. Such an
    /// entry is lost. Without an end all entries of those epochs are.
    ///
    /// ```
    /// use turted_core::cluster::node::Progress;
    /// use turted_core::cursor::Cursor;
    /// let at = |epoch, sequence| Some(Cursor { epoch, sequence });
    /// let progress = Progress { read: at(7, 20), acknowledged: at(7, 21) };
    /// assert!(!progress.is_beyond(9, at(7, 21)));
    /// assert!(progress.is_beyond(9, at(7, 20)), "it was told that 21 is in the log");
    /// assert!(!progress.is_beyond(7, at(6, 3)), "both are of epoch 7");
    /// ```
    #[must_use]
    pub fn is_beyond(&self, begun: u64, end: Option<Cursor>) -> bool {
        let is_lost = |at: Cursor| at.epoch < begun && end.is_none_or(|end| at.sequence > end.sequence);
        [self.read, self.acknowledged].into_iter().flatten().any(is_lost)
    }

    /// Whether the node has read an entry of this epoch or a later one. Then it has read how the epochs before ended.
    #[must_use]
    pub fn has_read(&self, epoch: u64) -> bool {
        self.read.is_some_and(|read| read.epoch >= epoch)
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        put_option(bytes, self.read, put_cursor);
        put_option(bytes, self.acknowledged, put_cursor);
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self { read: option(fields, cursor)?, acknowledged: option(fields, cursor)? })
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its version of turted.
    pub version: Name,
    /// The latest version of entries that it reads.
    pub reads: u8,
    /// Where other nodes reach it.
    pub advertise: Option<SocketAddr>,
    /// How far it has come. A node that finds itself [beyond](Progress::is_beyond) an end tells the loss before it
    /// says that it has read the epoch behind it.
    pub progress: Progress,
    /// The first entry that it keeps for its clients: no node trims more of the log. `None` if it does not matter.
    pub keeps: Option<Cursor>,
    /// Whether it is about to leave.
    pub draining: bool,
    /// Its connections.
    pub connections: u32,
    /// The keys of its rules that are no defaults, each with a digest: nodes with other digests have other rules.
    pub rules: Vec<(Name, u64)>,
}

impl NodeRecord {
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        put_name(bytes, &self.version);
        bytes.push(self.reads);
        put_option(bytes, self.advertise, put_socket);
        self.progress.put(bytes);
        put_option(bytes, self.keeps, put_cursor);
        bytes.push(self.draining.into());
        bytes.extend_from_slice(&self.connections.to_le_bytes());
        let rules = &self.rules[..self.rules.len().min(RULES_MAX)];
        put_count(bytes, rules.len());
        for (name, digest) in rules {
            put_name(bytes, name);
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            version: fields.name()?,
            reads: fields.u8()?,
            advertise: option(fields, socket)?,
            progress: Progress::decode(fields)?,
            keeps: option(fields, cursor)?,
            draining: fields.flag()?,
            connections: fields.u32()?,
            rules: rules(fields)?,
        })
    }
}

fn rules(fields: &mut Fields<'_>) -> Result<Vec<(Name, u64)>, Malformed> {
    let count = fields.count(RULE_BYTES_MIN)?;
    if count > RULES_MAX {
        return Err(Malformed);
    }
    (0..count).map(|_| Ok((fields.name()?, fields.u64()?))).collect()
}
