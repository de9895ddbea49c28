//! Mistakes that tests make on purpose, to see whether they would be found. Nothing else makes them.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The next epoch is the one behind the last, on every server.
    CountsEpochs,
    /// An epoch goes on with the numbers of the former one.
    GoesOnCounting,
    /// A loss that is known is not told to clients.
    KeepsLossToItself,
    /// No node bears witness.
    IgnoresWitnesses,
    /// What this node appends is handed over at once, not when it is read.
    DeliversAtOnce,
    /// A push whose connection broke is repeated before the log is read.
    RepeatsWithoutReading,
    /// What is trimmed past this node is not told.
    IgnoresHoles,
    /// What this node has read of its own says that it has read everything, whenever that was made.
    CountsOldEntries,
    /// The last entry that was read is not compared.
    IgnoresEntry,
    /// The log is trimmed to what this node has read.
    TrimsTooMuch,
    /// The engine connects anew without ending the former connection.
    #[cfg(test)]
    LeavesFormer,
    /// The engine stores a key before the push.
    #[cfg(test)]
    StoresKeyFirst,
    /// The process of the engine is not compared.
    #[cfg(test)]
    IgnoresProcess,
}

#[cfg(test)]
thread_local! {
    static MADE: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Whether a mistake is to be made.
#[cfg(test)]
pub(super) fn makes(mistake: Mistake) -> bool {
    MADE.get() == Some(mistake)
}

/// Whether a mistake is to be made: never.
#[cfg(not(test))]
pub(super) const fn makes(_: Mistake) -> bool {
    false
}

#[cfg(test)]
impl Mistake {
    /// Makes a mistake on this thread from now on, or none.
    pub(super) fn make(mistake: Option<Self>) {
        MADE.set(mistake);
    }
}
