//! What nodes tell each other beside the log. A message may be lost, so each question is given up after a while.

use std::net::IpAddr;

use super::head::{self, Author, Read, address, put_address};
use super::history::HistoryAsk;
use super::presence::{self, PresenceTold};
use super::watch::{self, WatchTold};
use crate::record::field::{Fields, Malformed, put_bytes, put_count};
use crate::session_key::SessionKey;

/// Bytes of a question or an answer: the answer about all connections of a node, a page at a time, has a tenth of it.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Counts in one message. A node sends what a few milliseconds have brought.
pub const COUNTS_MAX: usize = 10_000;

/// Bytes of a count.
const COUNT_BYTES: usize = 12;

/// The kinds of messages. A new one takes a new version.
mod kind {
    pub(super) const LET_GO: u8 = 0;
    pub(super) const LET_GONE: u8 = 1;
    pub(super) const COUNTS: u8 = 2;
    pub(super) const BLOCK: u8 = 3;
    pub(super) const ASK: u8 = 4;
    pub(super) const ANSWER: u8 = 5;
    pub(super) const PRESENCE_CHANGES: u8 = 6;
    pub(super) const PRESENCE_WANTED: u8 = 7;
    pub(super) const PRESENCE_PORTION: u8 = 8;
    pub(super) const ASK_HISTORY: u8 = 9;
    pub(super) const WATCH_WANTED: u8 = 10;
    pub(super) const WATCHED_RECORDS: u8 = 11;
}

/// A message.
///
/// ```
/// use turted_core::cluster::head::{Author, Read};
/// use turted_core::cluster::message::{Message, Told, decode};
/// let from = Author { node: 3, process: 17 };
/// let message = Message { from, told: Told::Ask { question: 5, body: b"{}".to_vec() } };
/// assert_eq!(decode(&message.encode()), Read::Ours(message));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who tells it.
    pub from: Author,
    /// What is told.
    pub told: Told,
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The client of a session is at another node: this one is to end its connection.
    LetGo {
        /// What the answer names.
        question: u64,
        /// The session.
        session: SessionKey,
    },
    /// There is no connection of that session here any more, and all of the session is written.
    LetGone {
        /// Which question is answered.
        question: u64,
    },
    /// How many connections here entries have reached, by their tags.
    Counts(Vec<(u64, u32)>),
    /// An address has guessed too often.
    Block {
        /// The address.
        address: IpAddr,
        /// What it has guessed.
        list: Guesses,
        /// For how long it is blocked.
        seconds: u32,
    },
    /// A question about connections of a node.
    Ask {
        /// What the answer names.
        question: u64,
        /// The question.
        body: Vec<u8>,
    },
    /// The answer to a question.
    Answer {
        /// Which question is answered.
        question: u64,
        /// The answer: JSON, or a page of history.
        body: Vec<u8>,
    },
    /// Who is in the channels of a node.
    Presence(PresenceTold),
    /// A question for a page of the history of channels.
    AskHistory {
        /// What the answer names.
        question: u64,
        /// Which page.
        ask: HistoryAsk,
    },
    /// The live view of another node.
    Watch(WatchTold),
}

/// What an address may guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guesses {
    /// Passwords of pushes and of the admin API.
    Passwords,
    /// Who a client is.
    Idents,
}

impl Guesses {
    const ALL: [Self; 2] = [Self::Passwords, Self::Idents];
}

impl Message {
    /// The bytes of the message. The caller keeps to [`BODY_BYTES_MAX`] and [`COUNTS_MAX`]: other nodes do not read more.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head::begin(64 + self.told.room());
        bytes.push(self.told.kind());
        self.from.put(&mut bytes);
        self.told.put(&mut bytes);
        bytes
    }
}

impl Told {
    fn kind(&self) -> u8 {
        match self {
            Self::LetGo { .. } => kind::LET_GO,
            Self::LetGone { .. } => kind::LET_GONE,
            Self::Counts(_) => kind::COUNTS,
            Self::Block { .. } => kind::BLOCK,
            Self::Ask { .. } => kind::ASK,
            Self::Answer { .. } => kind::ANSWER,
            Self::Presence(PresenceTold::Changes(_)) => kind::PRESENCE_CHANGES,
            Self::Presence(PresenceTold::Wanted(_)) => kind::PRESENCE_WANTED,
            Self::Presence(PresenceTold::Portion(_)) => kind::PRESENCE_PORTION,
            Self::AskHistory { .. } => kind::ASK_HISTORY,
            Self::Watch(WatchTold::Wanted { .. }) => kind::WATCH_WANTED,
            Self::Watch(WatchTold::Records(_)) => kind::WATCHED_RECORDS,
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Counts(counts) => counts.len() * COUNT_BYTES,
            Self::Ask { body, .. } | Self::Answer { body, .. } => body.len(),
            Self::Presence(told) => told.room(),
            Self::Watch(told) => told.room(),
            Self::LetGo { .. } | Self::LetGone { .. } | Self::Block { .. } | Self::AskHistory { .. } => 0,
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::LetGo { question, session } => {
                bytes.extend_from_slice(&question.to_le_bytes());
                bytes.extend_from_slice(&session.to_bytes());
            }
            Self::LetGone { question } => bytes.extend_from_slice(&question.to_le_bytes()),
            Self::Counts(counts) => {
                put_count(bytes, counts.len());
                for (tag, reached) in counts {
                    bytes.extend_from_slice(&tag.to_le_bytes());
                    bytes.extend_from_slice(&reached.to_le_bytes());
                }
            }
            Self::Block { address, list, seconds } => {
                put_address(bytes, *address);
                bytes.push(*list as u8);
                bytes.extend_from_slice(&seconds.to_le_bytes());
            }
            Self::Ask { question, body } | Self::Answer { question, body } => {
                bytes.extend_from_slice(&question.to_le_bytes());
                put_bytes(bytes, body);
            }
            Self::Presence(told) => told.put(bytes),
            Self::Watch(told) => told.put(bytes),
            Self::AskHistory { question, ask } => {
                bytes.extend_from_slice(&question.to_le_bytes());
                ask.put(bytes);
            }
        }
    }

    fn read(kind: u8, fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::LET_GO => {
                Self::LetGo { question: fields.u64()?, session: SessionKey::from_bytes(fields.array()?) }
            }
            kind::LET_GONE => Self::LetGone { question: fields.u64()? },
            kind::COUNTS => Self::Counts(counts(fields)?),
            kind::BLOCK => Self::Block {
                address: address(fields)?,
                list: *Guesses::ALL.get(usize::from(fields.u8()?)).ok_or(Malformed)?,
                seconds: fields.u32()?,
            },
            kind::ASK => Self::Ask { question: fields.u64()?, body: body(fields)? },
            kind::ANSWER => Self::Answer { question: fields.u64()?, body: body(fields)? },
            kind::PRESENCE_CHANGES => Self::Presence(presence::changes(fields)?),
            kind::PRESENCE_WANTED => Self::Presence(presence::wanted(fields)?),
            kind::PRESENCE_PORTION => Self::Presence(presence::portion(fields)?),
            kind::ASK_HISTORY => Self::AskHistory { question: fields.u64()?, ask: HistoryAsk::read(fields)? },
            kind::WATCH_WANTED => Self::Watch(watch::wanted(fields)?),
            kind::WATCHED_RECORDS => Self::Watch(watch::records(fields)?),
            _ => return Err(Malformed),
        })
    }
}

/// Reads a message.
#[must_use]
pub fn decode(bytes: &[u8]) -> Read<Message> {
    head::read(bytes, |fields| {
        let kind = fields.u8()?;
        Ok(Message { from: Author::read(fields)?, told: Told::read(kind, fields)? })
    })
}

fn counts(fields: &mut Fields<'_>) -> Result<Vec<(u64, u32)>, Malformed> {
    let count = fields.count(COUNT_BYTES)?;
    if count > COUNTS_MAX {
        return Err(Malformed);
    }
    (0..count).map(|_| Ok((fields.u64()?, fields.u32()?))).collect()
}

fn body(fields: &mut Fields<'_>) -> Result<Vec<u8>, Malformed> {
    let body = fields.bytes()?;
    if body.len() <= BODY_BYTES_MAX { Ok(body.to_vec()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::history::HistoryPlace;
    use super::*;
    use crate::limits::PRESENCE_MESSAGE_BYTES_MAX;
    use crate::name::Name;
    use crate::presence::{Changes, Group};
    use crate::record::session::tests::key;

    fn told() -> impl Strategy<Value = Told> {
        let body = || vec(any::<u8>(), 0..60);
        let list = prop::sample::select(Guesses::ALL.to_vec());
        prop_oneof![
            (any::<u64>(), key()).prop_map(|(question, session)| Told::LetGo { question, session }),
            any::<u64>().prop_map(|question| Told::LetGone { question }),
            vec(any::<(u64, u32)>(), 0..5).prop_map(Told::Counts),
            (any::<IpAddr>(), list, any::<u32>()).prop_map(|(address, list, seconds)| Told::Block {
                address,
                list,
                seconds
            }),
            (any::<u64>(), body()).prop_map(|(question, body)| Told::Ask { question, body }),
            (any::<u64>(), body()).prop_map(|(question, body)| Told::Answer { question, body }),
            presence::tests::told().prop_map(Told::Presence),
            watch::tests::told().prop_map(Told::Watch),
            any::<(u64, u32, u64, u64)>().prop_map(|(question, channel, after, has_from)| {
                let from = HistoryPlace { channel, after };
                Told::AskHistory { question, ask: HistoryAsk { from, has_from } }
            }),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        let from = any::<(u16, u64)>().prop_map(|(node, process)| Author { node, process });
        (from, told()).prop_map(|(from, told)| Message { from, told })
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(message in message()) {
            prop_assert_eq!(decode(&message.encode()), Read::Ours(message));
        }

        #[test]
        fn a_message_that_is_cut_or_too_long_is_none(message in message(), cut: prop::sample::Index) {
            let mut bytes = message.encode();
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Read::Foreign);
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), Read::Foreign);
        }

        #[test]
        fn what_is_read_from_any_bytes_is_written_as_the_same_bytes(kind in 0..13_u8, rest in vec(any::<u8>(), 0..60)) {
            let mut bytes = head::begin(0);
            bytes.push(kind);
            bytes.extend(rest);
            if let Read::Ours(message) = decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_body_and_counts_above_their_bounds_are_refused() {
        let read =
            |told: Told| decode(&Message { from: Author { node: 1, process: 2 }, told }.encode()).ours();
        let answer = |length: usize| read(Told::Answer { question: 1, body: vec![b' '; length] });
        assert!(answer(BODY_BYTES_MAX).is_some());
        assert!(answer(BODY_BYTES_MAX + 1).is_none());
        let counts = |count: usize| read(Told::Counts(vec![(1, 1); count]));
        assert!(counts(COUNTS_MAX).is_some());
        assert!(counts(COUNTS_MAX + 1).is_none());
        let users = |count: usize| {
            let name = Name::new("u").unwrap();
            let (channel, present) = (name.clone(), vec![name; count]);
            let groups = vec![Group { channel, anonymous: None, present, absent: Vec::new() }];
            read(Told::Presence(PresenceTold::Changes(Changes { sequence: 1, groups })))
        };
        assert!(users(PRESENCE_MESSAGE_BYTES_MAX / 2 - 16).is_some());
        assert!(users(PRESENCE_MESSAGE_BYTES_MAX / 2).is_none());
    }
}
