//! The names of keys and channels.

/// Names, all with one hash tag.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// What keys begin with.
    base: String,
    /// What channels begin with: Redis has them for all of its databases together.
    channels: String,
    pub(super) log: String,
    pub(super) reign: String,
    /// The channel that all nodes hear.
    pub(super) nodes: String,
}

impl Keys {
    /// Those of a cluster in a database.
    pub(super) fn of(prefix: &str, database: u32) -> Self {
        Self::with(format!("{{{prefix}}}:"), database)
    }

    /// Those of a trial beside it, in the same slot.
    pub(super) fn of_trial(prefix: &str, number: u64, database: u32) -> Self {
        Self::with(format!("{{{prefix}}}:check:{number:016x}:"), database)
    }

    fn with(base: String, database: u32) -> Self {
        let [log, reign] = ["log", "reign"].map(|name| format!("{base}{name}"));
        let channels = format!("{base}{database}:");
        Self { base, log, reign, nodes: format!("{channels}nodes"), channels }
    }

    /// The key of a value.
    pub(super) fn value(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The channel that one node hears.
    pub(super) fn node(&self, node: u16) -> String {
        format!("{}node:{node}", self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn clusters_in_two_databases_have_the_same_keys_and_other_channels() {
        let [first, second] = [0, 1].map(|database| Keys::of("turted", database));
        assert_eq!((&*first.log, &*second.log), ("{turted}:log", "{turted}:log"));
        assert_eq!((&*first.nodes, &*second.nodes), ("{turted}:0:nodes", "{turted}:1:nodes"));
        assert_eq!(second.node(7), "{turted}:1:node:7");
    }
}
