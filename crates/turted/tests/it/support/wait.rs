//! Waiting for what gives no other sign.

use std::time::{Duration, Instant};

use super::PATIENCE;

/// Waits until `done`, which must happen.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Does nothing for a while: a client that is slow, or time over which something is measured.
#[allow(clippy::disallowed_methods, reason = "a thread of a test, and no worker, waits")]
pub(crate) fn pause(how_long: Duration) {
    std::thread::sleep(how_long);
}
