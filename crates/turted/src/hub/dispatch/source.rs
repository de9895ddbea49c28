//! Where dispatches come from.

use std::sync::Arc;

/// Where dispatches come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The program that embeds the server.
    Embed,
    /// The REST push connector.
    Rest,
    /// A source of the configuration, by its name. It waits, so it leaves half of each inbox to those that cannot.
    /// It counts its dispatches itself.
    Named(Arc<str>),
}

impl Source {
    /// Those that are counted here.
    pub(crate) const ALL: [(Self, &str); 2] = [(Self::Embed, "embed"), (Self::Rest, "rest")];

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn index(&self) -> Option<usize> {
        match self {
            Self::Embed => Some(0),
            Self::Rest => Some(1),
            Self::Named(_) => None,
        }
    }
}
