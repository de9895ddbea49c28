//! Which epochs the positions of clients may belong to.
//!
//! Every start of a server begins an epoch of its own. Numbers go on over epochs and only grow, so a position of an
//! earlier epoch is one of this log as long as the log is known to go on from there.

use crate::cursor::Cursor;

/// Epochs that are remembered. A position that is older than so many starts is unknown.
const EPOCHS_MAX: usize = 64;

/// One epoch of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// What its positions are told by.
    pub epoch: u64,
    /// The number of the last dispatch before it began.
    pub after: u64,
}

/// The epochs whose positions are known, the oldest first. The last one is that of new dispatches.
///
/// ```
/// use turted_core::cursor::Cursor;
/// use turted_core::epochs::{Epoch, Epochs};
/// let mut epochs = Epochs::new(Epoch { epoch: 7, after: 0 });
/// epochs.begin(Epoch { epoch: 9, after: 20 });
/// assert_eq!(epochs.number(Cursor { epoch: 7, sequence: 20 }), Some(20));
/// assert_eq!(epochs.number(Cursor { epoch: 7, sequence: 21 }), None, "the number is one of epoch 9");
/// assert_eq!(epochs.cursor(21), Cursor { epoch: 9, sequence: 21 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs(Vec<Epoch>);

impl Epochs {
    /// A log without earlier epochs.
    #[must_use]
    pub fn new(first: Epoch) -> Self {
        Self(vec![first])
    }

    /// The epochs, the oldest first; `None` if there is none, or if they are not in the order of their numbers.
    #[must_use]
    pub fn of(epochs: Vec<Epoch>) -> Option<Self> {
        let is_known =
            |(place, epoch): (usize, &Epoch)| epochs[..place].iter().any(|other| other.epoch == epoch.epoch);
        let is_ordered = !epochs.is_empty() && epochs.is_sorted_by_key(|epoch| epoch.after);
        (is_ordered && epochs.len() <= EPOCHS_MAX && !epochs.iter().enumerate().any(is_known))
            .then_some(Self(epochs))
    }

    /// `fresh`, a random number, if it is none of these epochs; else one near it that is none.
    #[must_use]
    pub fn unused(&self, fresh: u32) -> u32 {
        let is_known = |epoch: u32| self.0.iter().any(|row| row.epoch == u64::from(epoch));
        (0..=u32::MAX).map(|step| fresh.wrapping_add(step)).find(|epoch| !is_known(*epoch)).unwrap_or(fresh)
    }

    /// Begins an epoch. The oldest one without a dispatch gives way, else the oldest.
    ///
    /// # Panics
    /// If it begins before the current one did: numbers never go back.
    pub fn begin(&mut self, epoch: Epoch) {
        assert!(epoch.after >= self.current().after, "numbers never go back");
        if self.0.len() == EPOCHS_MAX {
            let empty = self.0.windows(2).position(|pair| pair[0].after == pair[1].after);
            self.0.remove(empty.unwrap_or(0));
        }
        self.0.push(epoch);
    }

    /// The epoch of new dispatches.
    #[must_use]
    pub fn current(&self) -> Epoch {
        self.0[self.0.len() - 1]
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn rows(&self) -> &[Epoch] {
        &self.0
    }

    /// The number that a position stands for; `None` if no dispatch can have been given this position.
    #[must_use]
    pub fn number(&self, cursor: Cursor) -> Option<u64> {
        let place = self.0.iter().position(|row| row.epoch == cursor.epoch)?;
        let last = self.0.get(place + 1).map_or(u64::MAX, |next| next.after);
        (self.0[place].after..=last).contains(&cursor.sequence).then_some(cursor.sequence)
    }

    /// The position with this number, as its dispatch had it when it was accepted. A number from before all of the epochs
    /// is one of the oldest.
    #[must_use]
    pub fn cursor(&self, sequence: u64) -> Cursor {
        let row = self.0.iter().rev().find(|row| row.after < sequence).unwrap_or(&self.0[0]);
        Cursor { epoch: row.epoch, sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u32, after: u64) -> Epoch {
        Epoch { epoch: epoch.into(), after }
    }

    #[test]
    fn a_position_is_known_within_its_epoch_and_at_both_of_its_ends() {
        let epochs = Epochs::of(vec![epoch(5, 10), epoch(3, 20), epoch(8, 20)]).unwrap();
        let known = |epoch, sequence| epochs.number(Cursor { epoch, sequence }).is_some();
        assert!(known(5, 10) && known(5, 20) && !known(5, 9) && !known(5, 21));
        assert!(known(3, 20) && !known(3, 21), "nothing was dispatched in it");
        assert!(known(8, 20) && known(8, u64::MAX) && !known(8, 19));
        assert!(!known(4, 15));
    }

    #[test]
    fn a_number_is_told_as_a_position_that_is_known() {
        let epochs = Epochs::of(vec![epoch(5, 10), epoch(3, 20), epoch(8, 30)]).unwrap();
        for sequence in 10..40 {
            assert_eq!(epochs.number(epochs.cursor(sequence)), Some(sequence));
        }
        assert_eq!([20, 21, 30, 31].map(|sequence| epochs.cursor(sequence).epoch), [5, 3, 3, 8]);
        assert_eq!(epochs.number(epochs.cursor(9)), None);
    }

    #[test]
    fn epochs_that_cannot_follow_on_each_other_are_refused() {
        assert_eq!(Epochs::of(vec![]), None);
        assert_eq!(Epochs::of(vec![epoch(1, 10), epoch(2, 9)]), None);
        assert_eq!(Epochs::of(vec![epoch(1, 10), epoch(2, 10), epoch(1, 11)]), None);
        let row = |number| epoch(number, u64::from(number));
        assert!(Epochs::of((0..64).map(row).collect()).is_some());
        assert_eq!(Epochs::of((0..65).map(row).collect()), None);
    }

    #[test]
    fn an_epoch_is_not_used_twice() {
        let epochs = Epochs::of(vec![epoch(u32::MAX, 0), epoch(0, 1), epoch(5, 2)]).unwrap();
        assert_eq!([u32::MAX, 0, 5, 9].map(|fresh| epochs.unused(fresh)), [1, 1, 6, 9]);
    }

    #[test]
    fn an_epoch_without_a_dispatch_gives_way_first() {
        let mut epochs = Epochs::new(epoch(0, 0));
        epochs.begin(epoch(1, 10));
        (2..200).for_each(|number| epochs.begin(epoch(number, 20)));
        assert_eq!(
            (epochs.rows().len(), epochs.rows()[..2].to_vec()),
            (EPOCHS_MAX, vec![epoch(0, 0), epoch(1, 10)])
        );
        assert_eq!(epochs.number(Cursor { epoch: 1, sequence: 20 }), Some(20));
    }

    #[test]
    fn the_oldest_epoch_gives_way() {
        let mut epochs = Epochs::new(epoch(0, 0));
        (1..=EPOCHS_MAX as u32).for_each(|number| epochs.begin(epoch(number, u64::from(number))));
        assert_eq!(
            (epochs.rows().len(), epochs.number(Cursor { epoch: 0, sequence: 1 })),
            (EPOCHS_MAX, None)
        );
        assert_eq!(epochs.current(), epoch(64, 64));
    }
}
