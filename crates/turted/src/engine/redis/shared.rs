//! What all connections of a node know.

use super::keys::Keys;
use super::scripts::Scripts;

/// What all connections of a node know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    /// The owner of what this process owns, as it stands in Redis.
    pub(super) owner: [u8; 8],
}

impl Shared {
    pub(super) fn new(keys: Keys, process: u64) -> Self {
        Self { keys, scripts: Scripts::new(), owner: process.to_be_bytes() }
    }
}
