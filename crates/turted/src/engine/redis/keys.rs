//! The names of keys and channels.

/// Names, all with one hash tag.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// What they begin with.
    base: String,
    pub(super) log: String,
    pub(super) reign: String,
    /// The channel that all nodes hear.
    pub(super) nodes: String,
}

impl Keys {
    /// Those of a cluster.
    pub(super) fn of(prefix: &str) -> Self {
        Self::with(format!("{{{prefix}}}:"))
    }

    /// Those of a trial beside it, in the same slot.
    pub(super) fn of_trial(prefix: &str, number: u64) -> Self {
        Self::with(format!("{{{prefix}}}:check:{number:016x}:"))
    }

    fn with(base: String) -> Self {
        let [log, reign, nodes] = ["log", "reign", "nodes"].map(|name| format!("{base}{name}"));
        Self { base, log, reign, nodes }
    }

    /// The key of a value.
    pub(super) fn value(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The channel that one node hears.
    pub(super) fn node(&self, node: u16) -> String {
        format!("{}node:{node}", self.base)
    }
}
