//! What an operator deletes from history, on its way to where it is recorded.

use std::ops::RangeInclusive;

use tokio::sync::oneshot;
use turted_core::name::Name;

/// History of a channel that an operator has deleted, to be recorded so that no start brings it back.
#[derive(Debug)]
pub(crate) struct Deletion {
    pub(crate) channel: Name,
    pub(crate) numbers: RangeInclusive<u64>,
    /// Where it is told that it stands there.
    pub(crate) recorded: oneshot::Sender<()>,
}
