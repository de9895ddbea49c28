//! Whether a server that has another replication id than before is still the same master, and has been one all the time.
//!
//! A master takes a new id with its first replica, and when it had none for so long that it forgets what it kept for them. It
//! has lost nothing then. By `run_id` and the new id alone, one that was demoted, took over the data of another server and was
//! promoted again looks the same. That one has received those data, and knows its former id for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For so long what was seen says something: it is seen with each heartbeat.
const RECENT: Duration = Duration::from_secs(10);

/// What was seen of the server last, and whether it had another name before. It is locked for no longer than a copy takes.
#[derive(Debug, Default)]
pub(super) struct Identity(Mutex<Option<Seen>>);

/// What a server says of itself in `INFO`.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// `run_id`.
    pub(super) run: String,
    /// `master_replid`.
    pub(super) id: String,
    /// `master_replid2`.
    pub(super) second_id: String,
    /// Bytes that it has received from a master, and commands that it has run, since it started or its counters were reset.
    /// `None`: it does not say.
    pub(super) counted: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct Seen {
    said: Said,
    at: Instant,
    /// The name that it had before its last id.
    former: Option<String>,
}

impl Said {
    /// The name of this reign of this process.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.run, self.id)
    }

    /// One that was promoted has the id of its former master as its second one.
    fn has_no_second_id(&self) -> bool {
        !self.second_id.is_empty() && self.second_id.bytes().all(|digit| digit == b'0')
    }
}

impl Identity {
    /// Sees a server. Returns the name that it had before, if it is the same master still.
    pub(super) fn see(&self, said: Said, at: Instant) -> Option<String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let former = match last.as_ref().filter(|last| last.said.run == said.run) {
            Some(last) if last.said.id == said.id => last.former.clone(),
            Some(last) if last.is_continued_by(&said, at) => Some(last.said.name()),
            _ => None,
        };
        *last = Some(Seen { said, at, former: former.clone() });
        former
    }
}

impl Seen {
    /// Whether the process has been a master all the time in between: it has received nothing from another one. Counters that
    /// were reset would say nothing.
    fn is_continued_by(&self, said: &Said, at: Instant) -> bool {
        let is_recent = at.saturating_duration_since(self.at) <= RECENT;
        let Some((received, commands)) = self.said.counted else { return false };
        let has_received_nothing = said.counted.is_some_and(|(now, run)| now == received && run >= commands);
        is_recent && has_received_nothing && said.has_no_second_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says: its process, its two ids, what it has received and run.
    fn info((run, id, second): (&str, &str, &str), counted: (u64, u64)) -> Said {
        let [run, id, second_id] = [run, id, second].map(str::to_owned);
        Said { run, id, second_id, counted: Some(counted) }
    }

    #[test]
    fn only_a_master_that_has_been_one_all_the_time_keeps_its_reign_under_another_id() {
        let before = info(("r", "a", "000"), (7, 100));
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for (what, now, after, expected) in [
            ("its first replica", info(("r", "b", "000"), (7, 101)), second, Some("r:a")),
            ("the same id", info(("r", "a", "000"), (7, 101)), second, None),
            ("another process", info(("s", "b", "000"), (7, 101)), second, None),
            ("it was promoted", info(("r", "b", "a"), (7, 101)), second, None),
            ("it has followed another one", info(("r", "b", "000"), (8, 101)), second, None),
            ("its counters were reset", info(("r", "b", "000"), (7, 3)), second, None),
            ("nobody has looked for long", info(("r", "b", "000"), (7, 101)), second * 11, None),
            ("it says nothing", info(("r", "b", ""), (7, 101)), second, None),
        ] {
            let identity = Identity::default();
            assert_eq!(identity.see(before.clone(), start), None);
            assert_eq!(identity.see(now.clone(), start + after).as_deref(), expected, "{what}");
            assert_eq!(identity.see(now, start + after * 2).as_deref(), expected, "{what}, once more");
        }
    }
}
