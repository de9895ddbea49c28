//! Records of sessions: what a client is and has joined, as changes, so that it can come back to a server that was
//! started anew.
//!
//! A change has the number of its version, which grows over all sessions and all starts. Of what is said about a
//! session the highest version wins, so a record that stands in two files counts once. What a session is after
//! all its records is put together by [`Fold`](super::fold::Fold).

use std::time::Duration;

use super::field::{Fields, Malformed, put_bytes, put_count, put_name};
use crate::channel::Grants;
use crate::membership::{Memberships, Since};
use crate::name::Name;
use crate::session_key::SessionKey;
use crate::standing::{Forfeited, Proof, Standing};
use crate::time::UnixTime;

/// The version of this format. A file of another version is not read.
pub const FORMAT: u8 = 1;

/// Bytes of a name in a record, at least: its length and one byte.
const NAME_BYTES_MIN: usize = 2;

/// One record of a session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first record of each file.
    Head(Head),
    /// What becomes of a session.
    Session(SessionRecord),
}

/// What is said about all sessions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version of the format.
    pub format: u8,
    /// What `auth` was computed with.
    pub salt: [u8; 16],
    /// By which configuration its users were verified. Users that another one verified are unknown.
    pub auth: [u8; 32],
}

/// What becomes of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Which session.
    pub key: SessionKey,
    /// Grows with each record.
    pub version: u64,
    /// What it becomes.
    pub change: Change,
}

/// A change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It begins as this, or is written anew.
    Whole(SessionState),
    /// It has joined channels. One that it was in already keeps the moment at which it was joined.
    Joined(Vec<(Name, Since)>),
    /// It is told who is in channels, which it has joined.
    Told(Vec<Name>),
    /// It has left channels.
    Left(Vec<Name>),
    /// Who it is has changed, by an IDENT or because a proof has expired.
    Proved {
        /// All users that it is.
        users: Vec<(Name, Since)>,
        /// What it has proved.
        standing: Standing,
        /// The channels that it has lost by this.
        left: Vec<Name>,
    },
    /// Its client was given another session behind a gap, and may not know it yet.
    Succeeded(SessionKey),
    /// It has ended for good.
    Ended,
}

/// What a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Its users and channels.
    pub memberships: Memberships,
    /// The channels of which it is told who is in them.
    pub presence: Vec<Name>,
    /// What it has proved.
    pub standing: Standing,
    /// The number of the last dispatch before it began. It does not receive it or older ones.
    pub began_after: u64,
}

impl SessionState {
    /// Whether it is somebody by what it has proved.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        !self.memberships.users.is_empty() || !self.standing.proofs.is_empty()
    }

    /// The highest number of a dispatch that it names.
    #[must_use]
    pub fn highest(&self) -> u64 {
        let held = self.memberships.users.iter().chain(&self.memberships.channels);
        let held = held.map(|(_, since)| since.0).max().unwrap_or(0);
        held.max(self.began_after).max(self.standing.highest())
    }
}

/// The byte at the beginning of a record.
mod kind {
    pub(super) const HEAD: u8 = 1;
    pub(super) const WHOLE: u8 = 2;
    pub(super) const JOINED: u8 = 3;
    pub(super) const LEFT: u8 = 4;
    pub(super) const PROVED: u8 = 5;
    pub(super) const SUCCEEDED: u8 = 6;
    pub(super) const ENDED: u8 = 7;
    pub(super) const TOLD: u8 = 8;
    /// As `WHOLE`, with channels of which it is told who is in them.
    pub(super) const WHOLE_TOLD: u8 = 9;
}

impl Record {
    /// Appends the body of the record.
    pub fn put(&self, body: &mut Vec<u8>) {
        match self {
            Self::Head(head) => {
                body.extend_from_slice(&[kind::HEAD, head.format]);
                body.extend_from_slice(&head.salt);
                body.extend_from_slice(&head.auth);
            }
            Self::Session(record) => record.put(body),
        }
    }

    /// Reads the body of a record.
    ///
    /// # Errors
    /// It is none that this version of the format has.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        let record = match fields.u8()? {
            kind::HEAD => {
                Self::Head(Head { format: fields.u8()?, salt: fields.array()?, auth: fields.array()? })
            }
            kind => Self::Session(SessionRecord::read(kind, &mut fields)?),
        };
        fields.end()?;
        Ok(record)
    }
}

impl SessionRecord {
    /// Appends the body of the record.
    pub fn put(&self, body: &mut Vec<u8>) {
        body.push(match &self.change {
            Change::Whole(state) if state.presence.is_empty() => kind::WHOLE,
            Change::Whole(_) => kind::WHOLE_TOLD,
            Change::Told(_) => kind::TOLD,
            Change::Joined(_) => kind::JOINED,
            Change::Left(_) => kind::LEFT,
            Change::Proved { .. } => kind::PROVED,
            Change::Succeeded(_) => kind::SUCCEEDED,
            Change::Ended => kind::ENDED,
        });
        body.extend_from_slice(&self.key.to_bytes());
        body.extend_from_slice(&self.version.to_le_bytes());
        match &self.change {
            Change::Whole(state) => {
                put_state(body, state);
                if !state.presence.is_empty() {
                    put_names(body, &state.presence);
                }
            }
            Change::Joined(channels) => put_held(body, channels),
            Change::Told(channels) | Change::Left(channels) => put_names(body, channels),
            Change::Proved { users, standing, left } => {
                put_held(body, users);
                put_standing(body, standing);
                put_names(body, left);
            }
            Change::Succeeded(key) => body.extend_from_slice(&key.to_bytes()),
            Change::Ended => {}
        }
    }

    fn read(kind: u8, fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let (key, version) = (SessionKey::from_bytes(fields.array()?), fields.u64()?);
        let change = match kind {
            kind::WHOLE => Change::Whole(state(fields)?),
            kind::WHOLE_TOLD => {
                let mut state = state(fields)?;
                state.presence = names(fields)?;
                if state.presence.is_empty() {
                    return Err(Malformed);
                }
                Change::Whole(state)
            }
            kind::TOLD => Change::Told(names(fields)?),
            kind::JOINED => Change::Joined(held(fields)?),
            kind::LEFT => Change::Left(names(fields)?),
            kind::PROVED => {
                Change::Proved { users: held(fields)?, standing: standing(fields)?, left: names(fields)? }
            }
            kind::SUCCEEDED => Change::Succeeded(SessionKey::from_bytes(fields.array()?)),
            kind::ENDED => Change::Ended,
            _ => return Err(Malformed),
        };
        Ok(Self { key, version, change })
    }
}

/// Appends a session without the channels of which it is told who is in them.
pub(crate) fn put_state(body: &mut Vec<u8>, state: &SessionState) {
    put_held(body, &state.memberships.users);
    put_held(body, &state.memberships.channels);
    put_standing(body, &state.standing);
    body.extend_from_slice(&state.began_after.to_le_bytes());
}

/// Reads a session that is told of no channel who is in it.
pub(crate) fn state(fields: &mut Fields<'_>) -> Result<SessionState, Malformed> {
    Ok(SessionState {
        memberships: Memberships { users: held(fields)?, channels: held(fields)? },
        standing: standing(fields)?,
        began_after: fields.u64()?,
        presence: Vec::new(),
    })
}

/// Appends names with their number.
pub(crate) fn put_names(body: &mut Vec<u8>, names: &[Name]) {
    put_count(body, names.len());
    names.iter().for_each(|name| put_name(body, name));
}

/// Reads names.
pub(crate) fn names(fields: &mut Fields<'_>) -> Result<Vec<Name>, Malformed> {
    (0..fields.count(NAME_BYTES_MIN)?).map(|_| fields.name()).collect()
}

fn put_held(body: &mut Vec<u8>, held: &[(Name, Since)]) {
    put_count(body, held.len());
    for (name, Since(number)) in held {
        put_name(body, name);
        body.extend_from_slice(&number.to_le_bytes());
    }
}

fn held(fields: &mut Fields<'_>) -> Result<Vec<(Name, Since)>, Malformed> {
    let count = fields.count(NAME_BYTES_MIN + size_of::<u64>())?;
    (0..count).map(|_| Ok((fields.name()?, Since(fields.u64()?)))).collect()
}

fn put_standing(body: &mut Vec<u8>, standing: &Standing) {
    put_count(body, standing.proofs.len());
    for proof in &standing.proofs {
        put_name(body, &proof.user);
        put_count(body, proof.channels.patterns().len());
        proof.channels.patterns().iter().for_each(|pattern| put_bytes(body, pattern.to_string().as_bytes()));
        body.push(proof.expires.is_some().into());
        if let Some(UnixTime(expires)) = proof.expires {
            put_duration(body, expires);
        }
        put_duration(body, proof.leeway);
    }
    body.push(standing.forfeited.is_some().into());
    if let Some(forfeited) = &standing.forfeited {
        put_names(body, &forfeited.channels);
        body.extend_from_slice(&forfeited.position.to_le_bytes());
    }
}

fn standing(fields: &mut Fields<'_>) -> Result<Standing, Malformed> {
    let count = fields.count(NAME_BYTES_MIN)?;
    let proofs = (0..count).map(|_| proof(fields)).collect::<Result<_, _>>()?;
    let forfeited = match fields.flag()? {
        true => Some(Box::new(Forfeited { channels: names(fields)?, position: fields.u64()? })),
        false => None,
    };
    Ok(Standing { proofs, forfeited })
}

fn proof(fields: &mut Fields<'_>) -> Result<Proof, Malformed> {
    let user = fields.name()?;
    let count = fields.count(size_of::<u32>())?;
    let patterns = (0..count).map(|_| fields.text()).collect::<Result<Vec<_>, _>>()?;
    let channels = Grants::parse(&patterns).map_err(|_| Malformed)?;
    let expires = match fields.flag()? {
        true => Some(UnixTime(duration(fields)?)),
        false => None,
    };
    Ok(Proof { user, channels, expires, leeway: duration(fields)? })
}

fn put_duration(body: &mut Vec<u8>, duration: Duration) {
    body.extend_from_slice(&duration.as_secs().to_le_bytes());
    body.extend_from_slice(&duration.subsec_nanos().to_le_bytes());
}

fn duration(fields: &mut Fields<'_>) -> Result<Duration, Malformed> {
    let (seconds, nanos) = (fields.u64()?, fields.u32()?);
    // More nanoseconds would be carried over, and the seconds might overflow.
    if nanos < 1_000_000_000 { Ok(Duration::new(seconds, nanos)) } else { Err(Malformed) }
}

#[cfg(test)]
pub(crate) mod tests;
