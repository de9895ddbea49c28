//! A place in the log, as clients carry it: `<epoch>-<sequence>`.

use std::fmt;
use std::str::FromStr;

/// One life of the log. A position of another epoch means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u32);

impl Epoch {
    /// A new epoch from four random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

/// A place in the log.
///
/// ```
/// use turted::log::{Epoch, Position};
/// let position = Position { epoch: Epoch::from_random([0, 0, 0, 255]), sequence: 36 };
/// assert_eq!(position.to_string(), "ff-36");
/// assert_eq!("ff-36".parse(), Ok(position));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The life of the log.
    pub epoch: Epoch,
    /// The number of a dispatch in it.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch.0, self.sequence)
    }
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position has the form <epoch>-<sequence>")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (epoch, sequence) = text.split_once('-').ok_or(NoPosition)?;
        let epoch = Epoch(u32::from_str_radix(epoch, 16).map_err(|_| NoPosition)?);
        Ok(Self { epoch, sequence: sequence.parse().map_err(|_| NoPosition)? })
    }
}
