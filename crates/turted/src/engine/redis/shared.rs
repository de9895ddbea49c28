//! What all connections of a node know.

use super::identity::Identity;
use super::keys::Keys;
use super::scripts::Scripts;

/// What all connections of a node know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    /// The server that was reached last.
    pub(super) identity: Identity,
    /// The owner of what this process owns, as it stands in Redis.
    pub(super) owner: [u8; 8],
}

impl Shared {
    pub(super) fn new(keys: Keys, process: u64) -> Self {
        Self { keys, scripts: Scripts::new(), identity: Identity::default(), owner: process.to_be_bytes() }
    }
}
