//! The ways of a node to the engine: which of them cannot be used, why, and what that means for clients.
//!
//! Each has a connection of its own, and one may break while the others work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::io::seldom::Seldom;

/// Time between two lines about a way that cannot be used.
const TELL_PAUSE: Duration = Duration::from_secs(60);
/// How many there are.
const COUNT: usize = 5;

/// What a connection to the engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All that a node needs before it has any other.
    Start,
    Writer,
    Reader,
    Values,
    Ears,
}

impl Way {
    /// The connection, as `CLIENT LIST` of Redis names it behind `turted-`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Values => "values",
            Self::Ears => "ears",
        }
    }
}

/// What is known of all of them.
#[derive(Debug)]
pub(super) struct Ways {
    told: [Seldom; COUNT],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: [Option<String>; COUNT],
    /// Why the engine takes no heartbeat of this node, though it answers.
    refused: Option<String>,
}

impl Ways {
    pub(super) fn new() -> Self {
        Self { told: [const { Seldom::every(TELL_PAUSE) }; COUNT], state: Mutex::default() }
    }

    /// A way cannot be used.
    pub(super) fn fail(&self, way: Way, reason: &str) {
        self.note(way, reason);
        if way == Way::Writer {
            // What it refused before is not why now.
            self.refuses(None);
        }
        // A node whose heartbeats are refused reads nothing of its own. The refusal is told already.
        let is_told = way == Way::Reader && self.lock().refused.is_some();
        if !is_told && self.told[way as usize].tell(Instant::now()).is_some() {
            tell(way, reason);
        }
    }

    /// Notes why a way cannot be used. Returns whether that is new.
    pub(super) fn note(&self, way: Way, reason: &str) -> bool {
        let before = self.lock().failures[way as usize].replace(reason.to_owned());
        before.as_deref() != Some(reason)
    }

    /// A way can be used. Returns whether it was told that it cannot.
    pub(super) fn works(&self, way: Way) -> bool {
        self.lock().failures[way as usize] = None;
        self.told[way as usize].is_over().is_some()
    }

    /// The engine takes heartbeats, or takes none for this reason.
    pub(super) fn refuses(&self, reason: Option<&str>) {
        self.lock().refused = reason.map(str::to_owned);
    }

    /// Why the log is not followed: what is refused or cannot be appended cannot be read back either.
    pub(super) fn failure(&self) -> Option<String> {
        let state = self.lock();
        let refused =
            state.refused.as_ref().map(|reason| format!("Redis takes nothing of this node: {reason}"));
        let failed = [Way::Start, Way::Writer, Way::Reader].map(|way| state.failures[way as usize].clone());
        refused.into_iter().chain(failed.into_iter().flatten()).next()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(way: Way, reason: &str) {
    match way {
        Way::Start => error!(reason, "Redis cannot be used: this node waits for it, without clients"),
        Way::Writer => {
            error!(reason, "this node cannot append to the log in Redis: pushes are refused, clients stay");
        }
        Way::Reader => {
            error!(
                reason,
                "this node cannot read the log in Redis: clients stay, and get later what is pushed"
            );
        }
        Way::Values => warn!(reason, "this node cannot reach sessions in Redis: they are recorded later"),
        Way::Ears => {
            warn!(reason, "this node cannot hear other nodes over Redis: it misses their answers, no events");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_the_reason_why_nothing_is_read_back() {
        let ways = Ways::new();
        assert_eq!(ways.failure(), None);
        ways.fail(Way::Ears, "cut");
        assert_eq!(ways.failure(), None, "the log is followed without");
        ways.fail(Way::Reader, "nothing is read back");
        assert_eq!(ways.failure().as_deref(), Some("nothing is read back"));
        ways.fail(Way::Writer, "no way");
        assert_eq!(ways.failure().as_deref(), Some("no way"));
        ways.refuses(Some("OOM"));
        assert_eq!(ways.failure().as_deref(), Some("Redis takes nothing of this node: OOM"));
        ways.fail(Way::Writer, "killed");
        assert_eq!(ways.failure().as_deref(), Some("killed"), "it answers no more");
        ways.refuses(Some("OOM"));
        ways.refuses(None);
        assert!(ways.works(Way::Writer) && !ways.works(Way::Writer));
        assert_eq!(ways.failure().as_deref(), Some("nothing is read back"));
    }
}
