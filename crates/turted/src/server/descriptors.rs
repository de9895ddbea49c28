//! File descriptors, and how many connections follow from them.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use turted_core::limits::DESCRIPTORS_RESERVED;

use crate::config::Limits;

/// How many descriptors the process may have.
///
/// The soft limit is raised to the hard one first, as servers do.
pub(crate) fn limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit.current = limit.maximum;
        }
    }
    limit.current.unwrap_or(u64::MAX)
}

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections of clients, and of backends while there is room.
    pub(crate) connections: usize,
    /// Connections beyond those, for pushes and health checks.
    pub(crate) spare: usize,
    descriptors: u64,
}

impl Room {
    /// What the operator configured, or else what so many descriptors leave. In that case the spare connections are
    /// part of the descriptors that are kept back.
    pub(crate) fn of(limits: &Limits, descriptors: u64) -> Self {
        let reserved = DESCRIPTORS_RESERVED.min(descriptors / 2);
        let (connections, spare) = match limits.connections {
            Some(connections) => (connections, limits.spare_connections),
            None => (count(descriptors - reserved), limits.spare_connections.min(count(reserved / 4))),
        };
        Self { connections, spare, descriptors }
    }

    /// A warning for the operator, if more is configured than the descriptors allow.
    pub(crate) fn warning(self) -> Option<String> {
        let Self { connections, spare, descriptors } = self;
        let needed = connections.saturating_add(spare);
        (needed as u64 > descriptors).then(|| {
            format!(
                "`limits.connections` = {connections} and `limits.spare_connections` = {spare} are above the {descriptors} file \
                 descriptors of this process: raise them (LimitNOFILE=, ulimit -n), or connections wait to be accepted"
            )
        })
    }
}

impl fmt::Display for Room {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, spare, descriptors } = self;
        write!(
            formatter,
            "{connections} connections and {spare} for pushes and health, of {descriptors} file descriptors"
        )
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: Option<usize>) -> Limits {
        Limits { connections, ..Limits::default() }
    }

    #[test]
    fn what_descriptors_leave_has_the_spare_connections_beside_it() {
        for (descriptors, connections, spare) in [(1_024, 768, 64), (128, 64, 16), (1, 1, 0), (0, 0, 0)] {
            let room = Room::of(&limits(None), descriptors);
            assert_eq!((room.connections, room.spare), (connections, spare), "{descriptors}");
            assert_eq!(room.warning(), None, "{descriptors}");
        }
    }

    #[test]
    fn more_connections_than_descriptors_are_a_warning() {
        assert_eq!(Room::of(&limits(Some(960)), 1_024).warning(), None, "with 64 spare ones");
        let warning = Room::of(&limits(Some(961)), 1_024).warning().unwrap();
        assert!(warning.contains("`limits.connections` = 961"), "{warning}");
        assert!(warning.contains("1024"), "{warning}");
    }
}
