//! The file `lives`: which starts of a server wrote this directory, and how the last one ended.
//!
//! It is replaced as a whole, so it is the old one or the new one. It is one frame, and its version stands first: each
//! later version keeps that, so that an older server knows that it must not start.

use std::time::Duration;

use turted_core::epochs::{Epoch, Epochs};
use turted_core::record::field::{Fields, Malformed, put_bytes, put_count, put_epoch};
use turted_core::record::frame::{self, Frames};
use turted_core::record::push::NUMBER_MAX;

use crate::config::LogSync;

/// The version of all files of the directory.
pub(super) const VERSION: u16 = 1;

/// Bytes of the file: 64 epochs and a thousand lives with files have 5 kB.
pub(super) const LIVES_BYTES_MAX: u64 = 64 * 1024;

const EPOCH_BYTES: usize = 12;

/// What `lives` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lives {
    /// The epochs whose positions are known. The last one is that of the life that wrote this.
    pub(super) epochs: Epochs,
    /// The lives whose push files are the log, in their order.
    pub(super) chain: Vec<u64>,
    /// The boot of the machine; `None` if it could not be read.
    pub(super) boot: Option<String>,
    /// Whether what was acknowledged had been synced.
    pub(super) sync: Synced,
    pub(super) state: State,
    /// How long servers have run with this log, up to when this was written.
    pub(super) uptime: Duration,
}

/// `log.sync` of a life, as far as it matters to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// All that was acknowledged.
    Always,
    /// Of the sessions: what takes away.
    Interval,
    /// Nothing is certain.
    Never,
}

impl Synced {
    const ALL: [Self; 3] = [Self::Always, Self::Interval, Self::Never];
}

impl From<LogSync> for Synced {
    fn from(sync: LogSync) -> Self {
        match sync {
            LogSync::Always => Self::Always,
            LogSync::Interval(_) => Self::Interval,
            LogSync::Never => Self::Never,
        }
    }
}

/// How the life that wrote this stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, or was killed.
    Open,
    /// It has ended, with everything synced up to this number.
    Clean { last: u64 },
}

/// Why the file says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LivesFault {
    /// It is one of a later server.
    Version(u16),
    /// It is not what was written.
    Damaged,
}

impl Lives {
    /// The life that wrote this.
    pub(super) fn current(&self) -> Epoch {
        self.epochs.current()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut file = Vec::new();
        frame::append(&mut file, |body| self.encode_body(body)).expect("a few kilobytes");
        file
    }

    fn encode_body(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.push(self.sync as u8);
        let (is_clean, last) = match self.state {
            State::Open => (0, 0),
            State::Clean { last } => (1, last),
        };
        body.push(is_clean);
        body.extend_from_slice(&last.to_le_bytes());
        let uptime = u64::try_from(self.uptime.as_millis()).unwrap_or(NUMBER_MAX).min(NUMBER_MAX);
        body.extend_from_slice(&uptime.to_le_bytes());
        put_bytes(body, self.boot.as_deref().unwrap_or_default().as_bytes());
        put_count(body, self.epochs.rows().len());
        for Epoch { epoch, after } in self.epochs.rows() {
            put_epoch(body, epoch);
            body.extend_from_slice(&after.to_le_bytes());
        }
        put_count(body, self.chain.len());
        self.chain.iter().for_each(|epoch| put_epoch(body, *epoch));
    }

    pub(super) fn decode(file: &[u8]) -> Result<Self, LivesFault> {
        let mut frames = Frames::of(file);
        let Some(Ok(body)) = frames.next() else { return Err(LivesFault::Damaged) };
        let mut fields = Fields::of(body);
        let version = fields.array().map(u16::from_le_bytes).map_err(|_| LivesFault::Damaged)?;
        if version != VERSION {
            return Err(LivesFault::Version(version));
        }
        if frames.next().is_some() {
            return Err(LivesFault::Damaged);
        }
        Self::decode_body(fields).map_err(|Malformed| LivesFault::Damaged)
    }

    fn decode_body(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let sync = *Synced::ALL.get(usize::from(fields.u8()?)).ok_or(Malformed)?;
        let is_clean = fields.flag()?;
        let last = number(&mut fields)?;
        let state = if is_clean { State::Clean { last } } else { State::Open };
        let uptime = Duration::from_millis(number(&mut fields)?);
        let boot = Some(fields.text()?.to_owned()).filter(|boot| !boot.is_empty());
        let count = fields.count(EPOCH_BYTES)?;
        let epoch =
            |fields: &mut Fields<'_>| Ok(Epoch { epoch: fields.u32()?.into(), after: number(fields)? });
        let rows = (0..count).map(|_| epoch(&mut fields)).collect::<Result<_, _>>()?;
        let epochs = Epochs::of(rows).ok_or(Malformed)?;
        let count = fields.count(size_of::<u32>())?;
        let chain = (0..count).map(|_| fields.u32().map(u64::from)).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Self { epochs, chain, boot, sync, state, uptime })
    }
}

fn number(fields: &mut Fields<'_>) -> Result<u64, Malformed> {
    fields.u64().and_then(|number| if number <= NUMBER_MAX { Ok(number) } else { Err(Malformed) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives() -> Lives {
        let epochs = Epochs::of(vec![Epoch { epoch: 7, after: 0 }, Epoch { epoch: 5, after: 20 }]).unwrap();
        Lives {
            epochs,
            chain: vec![7, 5],
            boot: Some("ea1d6a41".to_owned()),
            sync: Synced::Always,
            state: State::Clean { last: 31 },
            uptime: Duration::from_millis(1_234),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for lives in [lives(), Lives { boot: None, state: State::Open, sync: Synced::Never, ..lives() }] {
            assert_eq!(Lives::decode(&lives.encode()), Ok(lives));
        }
    }

    #[test]
    fn whatever_is_flipped_or_cut_is_damage_and_no_other_version() {
        let file = lives().encode();
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert_eq!(Lives::decode(&flipped), Err(LivesFault::Damaged), "{at}");
            assert_eq!(Lives::decode(&file[..at]), Err(LivesFault::Damaged), "{at}");
        }
        assert_eq!(Lives::decode(&[file, vec![0]].concat()), Err(LivesFault::Damaged));
    }

    #[test]
    fn another_version_is_known_as_one_whatever_follows_it() {
        let mut file = Vec::new();
        frame::append(&mut file, |body| body.extend_from_slice(&[2, 0, 9, 9])).unwrap();
        file.push(1);
        assert_eq!(Lives::decode(&file), Err(LivesFault::Version(2)));
    }
}
