//! Records of the push files: pushes with their keys, and what is written about them later.
//!
//! A push is one record, so that all of it is there or nothing, and a key is known exactly if its push was accepted.
//! What is read is input: names and payloads are checked as those of a backend are.

use std::time::Duration;

use crate::cursor::Cursor;
use crate::dispatch::Dispatch;

use super::dispatch::{DISPATCH_BYTES_MIN, put_dispatch, read_dispatch};
use super::field::{Fields, Malformed, put_bytes, put_count, put_epoch};

/// Numbers end here: a million dispatches a second reach it after 146,000 years. A record with a larger one is
/// damaged, so that numbers of a new epoch always have room above.
pub const NUMBER_MAX: u64 = 1 << 62;

/// The kinds of records. A new one takes a new version of the files, because older servers refuse it as damage.
mod kind {
    pub(super) const BEGIN: u8 = 0;
    pub(super) const PUSH: u8 = 1;
    pub(super) const KEY: u8 = 2;
    pub(super) const DELIVERED: u8 = 3;
    pub(super) const NEXT: u8 = 4;
}

/// Bytes of a count, by which numbers of counts are checked.
const NUMBER_BYTES: usize = 8;

/// A record as it is written.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// The first record of a file.
    Begin(Begin),
    /// An accepted push.
    Push(PushRecord<'a>),
    /// A key whose push is not kept any more.
    Key(KeyRecord<'a>),
    /// How many connections a push with a key reached, known later than the push.
    Delivered(Delivered<'a>),
    /// The last record of a file that another one follows, and the number that comes next.
    Next(u64),
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The life that writes it.
    pub epoch: u64,
    /// Its place among the files of that life.
    pub place: u64,
    /// The number of the first dispatch that may follow.
    pub first: u64,
}

/// One push: its dispatches have the numbers from `first` on.
#[derive(Clone, Copy, Debug)]
pub struct PushRecord<'a> {
    /// The number of its first dispatch; of the next push, if it has none.
    pub first: u64,
    /// The summed uptime of the log when it was accepted, in whole milliseconds.
    pub uptime: Duration,
    /// All dispatches up to this number were synced when it was written.
    pub synced: u64,
    /// The key by which its backend or source may repeat it.
    pub key: Option<PushKey<'a>>,
    /// Its dispatches, in their order.
    pub dispatches: &'a [Dispatch],
}

/// By what a push is known when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushKey<'a> {
    /// The name of the source; empty for pushes by REST.
    pub owner: &'a str,
    /// The `Idempotency-Key`, or what the source made of a message.
    pub key: &'a [u8],
    /// SHA-256 of the body.
    pub body: [u8; 32],
    /// How it was answered.
    pub answer: AnswerForm,
}

/// The form of the answer to a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// `OK`
    Plain,
    /// A JSON object.
    Single,
    /// A JSON object with a list.
    Batch,
}

impl AnswerForm {
    const ALL: [Self; 3] = [Self::Plain, Self::Single, Self::Batch];

    fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Self::ALL.get(usize::from(fields.u8()?)).copied().ok_or(Malformed)
    }
}

/// A key that outlives its push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    /// The key.
    pub key: PushKey<'a>,
    /// The position of the first dispatch of its push.
    pub first: Cursor,
    /// How many dispatches the push had.
    pub count: u32,
    /// The summed uptime of the log when the push was accepted.
    pub uptime: Duration,
    /// How many connections each dispatch reached, if that is known.
    pub delivered: Option<&'a [u64]>,
}

/// How many connections each dispatch of a push reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered<'a> {
    /// The number of the first dispatch.
    pub first: u64,
    /// The summed uptime of the log when the push was accepted.
    pub uptime: Duration,
    /// A count for each dispatch.
    pub counts: &'a [u64],
}

impl Record<'_> {
    /// Appends the body of the record.
    pub fn encode(&self, body: &mut Vec<u8>) {
        match self {
            Self::Begin(Begin { epoch, place, first }) => {
                body.push(kind::BEGIN);
                put_epoch(body, *epoch);
                put_numbers(body, &[*place, *first]);
            }
            Self::Push(push) => push.encode(body),
            Self::Key(KeyRecord { key, first, count, uptime, delivered }) => {
                body.push(kind::KEY);
                key.encode(body);
                put_epoch(body, first.epoch);
                put_numbers(body, &[first.sequence, millis(*uptime)]);
                put_reached(body, *count, *delivered);
            }
            Self::Delivered(Delivered { first, uptime, counts }) => {
                body.push(kind::DELIVERED);
                put_numbers(body, &[*first, millis(*uptime)]);
                put_list(body, counts);
            }
            Self::Next(next) => {
                body.push(kind::NEXT);
                put_numbers(body, &[*next]);
            }
        }
    }
}

impl PushRecord<'_> {
    fn encode(&self, body: &mut Vec<u8>) {
        body.push(kind::PUSH);
        put_numbers(body, &[self.first, millis(self.uptime), self.synced]);
        body.push(u8::from(self.key.is_some()));
        if let Some(key) = &self.key {
            key.encode(body);
        }
        put_count(body, self.dispatches.len());
        self.dispatches.iter().for_each(|dispatch| put_dispatch(body, dispatch));
    }
}

impl PushKey<'_> {
    fn encode(&self, body: &mut Vec<u8>) {
        put_bytes(body, self.owner.as_bytes());
        put_bytes(body, self.key);
        body.extend_from_slice(&self.body);
        body.push(self.answer as u8);
    }
}

/// A record as it is read.
#[derive(Clone, Debug)]
pub enum ReadRecord<'a> {
    /// The first record of a file.
    Begin(Begin),
    /// A push.
    Push(ReadPush<'a>),
    /// A key that outlives its push.
    Key(ReadKey<'a>),
    /// How many connections a push reached.
    Delivered(ReadDelivered),
    /// The file is finished.
    Next(u64),
}

/// A push whose dispatches are not looked at yet: who looks for keys alone does not pay for them.
#[derive(Clone, Debug)]
pub struct ReadPush<'a> {
    /// The number of its first dispatch.
    pub first: u64,
    /// The summed uptime of the log when it was accepted.
    pub uptime: Duration,
    /// All dispatches up to this number were synced when it was written.
    pub synced: u64,
    /// Its key.
    pub key: Option<PushKey<'a>>,
    /// How many dispatches it has.
    pub count: u32,
    fields: Fields<'a>,
}

/// A key that outlives its push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadKey<'a> {
    /// The key.
    pub key: PushKey<'a>,
    /// The position of the first dispatch of its push.
    pub first: Cursor,
    /// How many dispatches the push had.
    pub count: u32,
    /// The summed uptime of the log when the push was accepted.
    pub uptime: Duration,
    /// How many connections each dispatch reached, if that is known.
    pub delivered: Option<Vec<u64>>,
}

/// How many connections each dispatch of a push reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDelivered {
    /// The number of the first dispatch.
    pub first: u64,
    /// The summed uptime of the log when the push was accepted.
    pub uptime: Duration,
    /// A count for each dispatch.
    pub counts: Vec<u64>,
}

impl<'a> ReadRecord<'a> {
    /// Reads a body. Of a push the dispatches are left to [`ReadPush::dispatches`].
    ///
    /// # Errors
    /// It is no record.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        let record = match fields.u8()? {
            kind::BEGIN => {
                let epoch = fields.u32()?.into();
                Self::Begin(Begin { epoch, place: number(&mut fields)?, first: number(&mut fields)? })
            }
            kind::PUSH => return ReadPush::decode(fields).map(Self::Push),
            kind::KEY => Self::Key(ReadKey::decode(&mut fields)?),
            kind::DELIVERED => Self::Delivered(ReadDelivered {
                first: number(&mut fields)?,
                uptime: uptime(&mut fields)?,
                counts: list(&mut fields)?,
            }),
            kind::NEXT => Self::Next(number(&mut fields)?),
            _ => return Err(Malformed),
        };
        fields.end()?;
        Ok(record)
    }
}

impl<'a> ReadPush<'a> {
    fn decode(mut fields: Fields<'a>) -> Result<Self, Malformed> {
        let (first, uptime, synced) = (number(&mut fields)?, uptime(&mut fields)?, number(&mut fields)?);
        let key = if fields.flag()? { Some(PushKey::decode(&mut fields)?) } else { None };
        let count = fields.count(DISPATCH_BYTES_MIN)?;
        let count = u32::try_from(count).map_err(|_| Malformed)?;
        Ok(Self { first, uptime, synced, key, count, fields })
    }

    /// The dispatches, in their order.
    ///
    /// # Errors
    /// One of them is none that a backend may push.
    pub fn dispatches(&self) -> Result<Vec<Dispatch>, Malformed> {
        let mut fields = self.fields;
        let dispatches =
            (0..self.count).map(|_| read_dispatch(&mut fields, usize::MAX)).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(dispatches)
    }
}

impl<'a> PushKey<'a> {
    fn decode(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let (owner, key, body) = (fields.text()?, fields.bytes()?, fields.array()?);
        Ok(Self { owner, key, body, answer: AnswerForm::read(fields)? })
    }
}

impl<'a> ReadKey<'a> {
    /// The same as it is written.
    #[must_use]
    pub fn as_written(&self) -> KeyRecord<'_> {
        let Self { key, first, count, uptime, ref delivered } = *self;
        KeyRecord { key, first, count, uptime, delivered: delivered.as_deref() }
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let key = PushKey::decode(fields)?;
        let epoch = fields.u32()?.into();
        let first = Cursor { epoch, sequence: number(fields)? };
        let uptime = uptime(fields)?;
        let (count, delivered) = reached(fields)?;
        Ok(Self { key, first, count, uptime, delivered })
    }
}

/// Appends how many dispatches a push had, and how many connections each of them reached, if that is known.
fn put_reached(body: &mut Vec<u8>, count: u32, delivered: Option<&[u64]>) {
    body.extend_from_slice(&count.to_le_bytes());
    body.push(u8::from(delivered.is_some()));
    put_list(body, delivered.unwrap_or_default());
}

/// Reads the same. If the counts are known there is one for each dispatch.
fn reached(fields: &mut Fields<'_>) -> Result<(u32, Option<Vec<u64>>), Malformed> {
    let (count, is_known) = (fields.u32()?, fields.flag()?);
    let counts = list(fields)?;
    let fits = if is_known { counts.len() == count as usize } else { counts.is_empty() };
    if fits { Ok((count, is_known.then_some(counts))) } else { Err(Malformed) }
}

fn list(fields: &mut Fields<'_>) -> Result<Vec<u64>, Malformed> {
    let count = fields.count(NUMBER_BYTES)?;
    (0..count).map(|_| fields.u64()).collect()
}

fn put_list(body: &mut Vec<u8>, numbers: &[u64]) {
    put_count(body, numbers.len());
    put_numbers(body, numbers);
}

fn put_numbers(body: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| body.extend_from_slice(&number.to_le_bytes()));
}

/// A number of a dispatch.
pub(crate) fn number(fields: &mut Fields<'_>) -> Result<u64, Malformed> {
    fields.u64().and_then(|number| if number <= NUMBER_MAX { Ok(number) } else { Err(Malformed) })
}

fn uptime(fields: &mut Fields<'_>) -> Result<Duration, Malformed> {
    number(fields).map(Duration::from_millis)
}

fn millis(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_millis()).unwrap_or(NUMBER_MAX).min(NUMBER_MAX)
}

#[cfg(test)]
pub(crate) mod tests;
