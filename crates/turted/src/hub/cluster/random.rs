//! Random numbers of a node. A simulation repeats them from its seed.

/// A random number.
#[cfg(not(test))]
pub(super) fn number() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// A random number: by the seed of this thread, if it has one.
#[cfg(test)]
pub(super) fn number() -> u64 {
    let seeded = DICE.with_borrow(|dice| dice.as_ref().map(Dice::number));
    seeded.unwrap_or_else(|| getrandom::u64().unwrap_or_default())
}

#[cfg(test)]
use crate::engine::memory::Dice;

#[cfg(test)]
thread_local! {
    static DICE: std::cell::RefCell<Option<Dice>> = const { std::cell::RefCell::new(None) };
}

/// Random numbers on this thread follow this seed from now on, or none.
#[cfg(test)]
pub(super) fn seed(seed: Option<u64>) {
    DICE.set(seed.map(Dice::new));
}
