//! What stands in the log of a cluster: dispatches, and what nodes write about themselves.

use std::borrow::Borrow;
use std::time::Duration;

use super::head::{self, Author, Read, cursor, option, put_cursor, put_option};
use super::node::{NodeRecord, Progress};
use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Targets};
use crate::name::Name;
use crate::push::PushLimits;
use crate::record::dispatch::{put_dispatch, read_dispatch};
use crate::record::field::{Fields, Malformed, put_name};

/// The kinds of entries. A new one takes a new version, because older nodes take it for no entry of theirs.
mod kind {
    pub(super) const BEGIN: u8 = 0;
    pub(super) const DISPATCH: u8 = 1;
    pub(super) const HEARTBEAT: u8 = 2;
    pub(super) const LOST: u8 = 3;
    pub(super) const LEAVE: u8 = 4;
    pub(super) const DELETED: u8 = 5;
}

/// Bytes of an entry without the names and the payload of its dispatch, or the rules of its node.
pub(super) const ROOM: usize = 96;

/// One entry. `D` is a dispatch, or refers to one that is written.
///
/// ```
/// use std::time::Duration;
/// use turted_core::cluster::entry::{Body, Entry, decode};
/// use turted_core::cluster::head::{Author, Read};
/// use turted_core::push::PushLimits;
/// let entry = Entry {
///     author: Author { node: 3, process: 17 },
///     tag: 9,
///     time: Duration::from_millis(1_700_000_000_123),
///     body: Body::Lost { epoch: 255 },
/// };
/// assert_eq!(decode(&entry.encode(), PushLimits::default()), Read::Ours(entry));
/// assert_eq!(decode(b"hello", PushLimits::default()), Read::Foreign);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<D = Dispatch> {
    /// Who wrote it.
    pub author: Author,
    /// A random number, by which its author knows it again.
    pub tag: u64,
    /// The engine's clock when it was written, in whole milliseconds since 1970.
    pub time: Duration,
    /// What it says.
    pub body: Body<D>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<D = Dispatch> {
    /// An epoch begins with this entry.
    Begin {
        /// The last entry that the engine has of the epochs before, if it has one.
        former: Option<Cursor>,
        /// Whether something of the epochs before is known to be lost.
        lost: bool,
    },
    /// A dispatch.
    Dispatch {
        /// Whether its author wants to know how many connections it reaches.
        counted: bool,
        /// The dispatch.
        dispatch: D,
    },
    /// A node says that it is there.
    Heartbeat(NodeRecord),
    /// Something is lost that was before this epoch.
    Lost {
        /// The epoch.
        epoch: u64,
    },
    /// A node says its last word.
    Leave(Progress),
    /// An operator has deleted history of a channel: what stands before this entry.
    Deleted {
        /// The channel.
        channel: Name,
        /// The number of the first event that is deleted.
        from: u64,
        /// The number of the last one.
        to: u64,
    },
}

impl<D: Borrow<Dispatch>> Entry<D> {
    /// The bytes of the entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head::begin(ROOM + self.body.room());
        bytes.push(self.body.kind());
        self.author.put(&mut bytes);
        bytes.extend_from_slice(&self.tag.to_le_bytes());
        bytes.extend_from_slice(&millis(self.time).to_le_bytes());
        self.body.put(&mut bytes);
        bytes
    }
}

impl<D: Borrow<Dispatch>> Body<D> {
    fn kind(&self) -> u8 {
        match self {
            Self::Begin { .. } => kind::BEGIN,
            Self::Dispatch { .. } => kind::DISPATCH,
            Self::Heartbeat(_) => kind::HEARTBEAT,
            Self::Lost { .. } => kind::LOST,
            Self::Leave(_) => kind::LEAVE,
            Self::Deleted { .. } => kind::DELETED,
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Dispatch { dispatch, .. } => dispatch.borrow().payload.get().len(),
            _ => 0,
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Begin { former, lost } => {
                put_option(bytes, *former, put_cursor);
                bytes.push((*lost).into());
            }
            Self::Dispatch { counted, dispatch } => {
                bytes.push((*counted).into());
                put_dispatch(bytes, dispatch.borrow());
            }
            Self::Heartbeat(record) => record.put(bytes),
            Self::Lost { epoch } => bytes.extend_from_slice(&epoch.to_le_bytes()),
            Self::Leave(progress) => progress.put(bytes),
            Self::Deleted { channel, from, to } => {
                put_name(bytes, channel);
                bytes.extend_from_slice(&from.to_le_bytes());
                bytes.extend_from_slice(&to.to_le_bytes());
            }
        }
    }
}

/// Reads an entry.
///
/// # Limits
/// A dispatch has no more targets and takes no more bytes in all of its frames than a push with one dispatch may ask for.
/// One that has more is [foreign](Read::Foreign).
#[must_use]
pub fn decode(bytes: &[u8], limits: PushLimits) -> Read<Entry> {
    head::read(bytes, |fields| {
        let kind = fields.u8()?;
        let (author, tag, time) = (Author::read(fields)?, fields.u64()?, fields.u64()?);
        Ok(Entry { author, tag, time: Duration::from_millis(time), body: body(kind, fields, limits)? })
    })
}

fn body(kind: u8, fields: &mut Fields<'_>, limits: PushLimits) -> Result<Body, Malformed> {
    Ok(match kind {
        kind::BEGIN => Body::Begin { former: option(fields, cursor)?, lost: fields.flag()? },
        kind::DISPATCH => Body::Dispatch { counted: fields.flag()?, dispatch: pushed(fields, limits)? },
        kind::HEARTBEAT => Body::Heartbeat(NodeRecord::decode(fields)?),
        kind::LOST => Body::Lost { epoch: fields.u64()? },
        kind::LEAVE => Body::Leave(Progress::decode(fields)?),
        kind::DELETED => Body::Deleted { channel: fields.name()?, from: fields.u64()?, to: fields.u64()? },
        _ => return Err(Malformed),
    })
}

/// A dispatch that a backend might have pushed.
fn pushed(fields: &mut Fields<'_>, limits: PushLimits) -> Result<Dispatch, Malformed> {
    // A dispatch without targets expands to nothing, so its own bytes are limited as well.
    if fields.rest() > limits.expansion_bytes {
        return Err(Malformed);
    }
    let dispatch = read_dispatch(fields, limits.targets)?;
    let Targets { users, channels, .. } = &dispatch.targets;
    let is_in_bounds = dispatch.expansion_bytes() <= limits.expansion_bytes;
    if is_in_bounds && !has_twice(users) && !has_twice(channels) { Ok(dispatch) } else { Err(Malformed) }
}

/// Whether a name is listed twice. A push lists each name once.
pub(super) fn has_twice(names: &[Name]) -> bool {
    if names.len() < 2 {
        return false;
    }
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
