//! Moments of wall-clock time.

use std::time::Duration;

/// A moment of wall-clock time: the time since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub Duration);
