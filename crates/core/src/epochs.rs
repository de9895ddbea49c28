//! Which epochs the positions of clients may belong to.
//!
//! Every start of a server begins an epoch of its own; a log of several machines begins one when its engine may have lost
//! something. Numbers go on over epochs and only grow, so a position of an earlier epoch is one of this log as long as
//! the log is known to go on from there.

use crate::cursor::Cursor;

/// Epochs that are remembered. A position that is older than so many starts is unknown.
const EPOCHS_MAX: usize = 64;

/// One epoch of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// What its positions are told by.
    pub epoch: u64,
    /// The number of the last dispatch before it began. All of its own numbers are above.
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
pub struct Epochs(Vec<Row>);

/// An epoch, and where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    begun: Epoch,
    /// The last of its numbers, if the next epoch does not begin right behind it.
    end: Option<u64>,
}

/// An epoch as other nodes of a cluster are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenEpoch {
    /// Where it began.
    pub begun: Epoch,
    /// The last of its numbers, if the next epoch does not begin right behind it.
    pub end: Option<u64>,
}

impl Row {
    fn of(begun: Epoch) -> Self {
        Self { begun, end: None }
    }
}

impl Epochs {
    /// A log without earlier epochs.
    #[must_use]
    pub fn new(first: Epoch) -> Self {
        Self(vec![Row::of(first)])
    }

    /// The epochs, the oldest first; `None` if there is none, or if they are not in the order of their numbers.
    #[must_use]
    pub fn of(epochs: Vec<Epoch>) -> Option<Self> {
        let is_known =
            |(place, epoch): (usize, &Epoch)| epochs[..place].iter().any(|other| other.epoch == epoch.epoch);
        let is_ordered = !epochs.is_empty() && epochs.is_sorted_by_key(|epoch| epoch.after);
        (is_ordered && epochs.len() <= EPOCHS_MAX && !epochs.iter().enumerate().any(is_known))
            .then(|| Self(epochs.into_iter().map(Row::of).collect()))
    }

    /// `fresh`, a random number, if it is none of these epochs; else one near it that is none.
    #[must_use]
    pub fn unused(&self, fresh: u32) -> u32 {
        let is_known = |epoch: u32| self.0.iter().any(|row| row.begun.epoch == u64::from(epoch));
        (0..=u32::MAX).map(|step| fresh.wrapping_add(step)).find(|epoch| !is_known(*epoch)).unwrap_or(fresh)
    }

    /// Begins an epoch. The oldest one without a dispatch gives way, else the oldest.
    ///
    /// # Panics
    /// If it begins before the current one did: numbers never go back.
    pub fn begin(&mut self, epoch: Epoch) {
        assert!(epoch.after >= self.current().after, "numbers never go back");
        if self.0.len() == EPOCHS_MAX {
            let empty = (0..EPOCHS_MAX - 1).find(|place| self.last(*place) <= self.0[*place].begun.after);
            self.0.remove(empty.unwrap_or(0));
        }
        self.0.push(Row::of(epoch));
    }

    /// Begins an epoch some way behind the end of the one before. What an earlier epoch had given above `former_end` is lost,
    /// so a position there is unknown from now on.
    ///
    /// ```
    /// use turted_core::cursor::Cursor;
    /// use turted_core::epochs::{Epoch, Epochs};
    /// let mut epochs = Epochs::new(Epoch { epoch: 7, after: 0 });
    /// epochs.begin_behind(Epoch { epoch: 9, after: 1_000 }, 20);
    /// assert_eq!(epochs.number(Cursor { epoch: 7, sequence: 20 }), Some(20));
    /// assert_eq!(epochs.number(Cursor { epoch: 7, sequence: 21 }), None, "epoch 7 had ended");
    /// assert_eq!(epochs.cursor(1_001), Cursor { epoch: 9, sequence: 1_001 });
    /// ```
    ///
    /// # Panics
    /// If it begins before the current one did, or before `former_end`: numbers never go back.
    pub fn begin_behind(&mut self, epoch: Epoch, former_end: u64) {
        assert!(epoch.after >= former_end, "numbers never go back");
        for row in &mut self.0 {
            row.end = Some(row.end.map_or(former_end, |end| end.min(former_end)));
        }
        self.begin(epoch);
    }

    /// Makes all positions of epochs before `first` unknown, because something of theirs is lost. An epoch that is not
    /// remembered has given way already, and those before it with it.
    pub fn forget_before(&mut self, first: u64) {
        if let Some(place) = self.0.iter().position(|row| row.begun.epoch == first) {
            self.0.drain(..place);
        }
    }

    /// The epoch of new dispatches.
    #[must_use]
    pub fn current(&self) -> Epoch {
        self.0[self.0.len() - 1].begun
    }

    /// All of them, the oldest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Epoch> {
        self.0.iter().map(|row| row.begun)
    }

    /// The same, each with where it ended.
    pub fn written(&self) -> impl ExactSizeIterator<Item = WrittenEpoch> {
        self.0.iter().map(|row| WrittenEpoch { begun: row.begun, end: row.end })
    }

    /// Takes over what another node of the cluster knows of the time before the first of these epochs, if that is one of
    /// its own.
    ///
    /// ```
    /// use turted_core::cursor::Cursor;
    /// use turted_core::epochs::{Epoch, Epochs};
    /// let mut theirs = Epochs::new(Epoch { epoch: 7, after: 0 });
    /// theirs.begin_behind(Epoch { epoch: 9, after: 1_000 }, 20);
    /// let mut ours = Epochs::new(Epoch { epoch: 9, after: 1_500 });
    /// ours.lengthen(theirs.written().collect());
    /// assert_eq!(ours, theirs);
    /// ```
    pub fn lengthen(&mut self, theirs: Vec<WrittenEpoch>) {
        let first = self.0[0].begun;
        let Some(place) = theirs.iter().position(|row| row.begun.epoch == first.epoch) else { return };
        let mut earlier: Vec<_> = theirs.into_iter().take(place + 1).collect();
        if !earlier.is_sorted_by_key(|row| row.begun.after) || earlier[place].begun.after > first.after {
            return;
        }
        self.0[0].begun.after = earlier.remove(place).begun.after;
        let room = EPOCHS_MAX.saturating_sub(self.0.len());
        let kept = earlier.into_iter().skip(place.saturating_sub(room));
        self.0.splice(..0, kept.map(|row| Row { begun: row.begun, end: row.end }));
    }

    /// The number that a position stands for; `None` if no dispatch can have been given this position.
    #[must_use]
    pub fn number(&self, cursor: Cursor) -> Option<u64> {
        let place = self.0.iter().position(|row| row.begun.epoch == cursor.epoch)?;
        let known = self.0[place].begun.after..=self.last(place);
        known.contains(&cursor.sequence).then_some(cursor.sequence)
    }

    /// The position with this number, as its dispatch had it when it was accepted. A number from before all of the epochs
    /// is one of the oldest. A number from between two epochs is one of the former, beyond its end.
    #[must_use]
    pub fn cursor(&self, sequence: u64) -> Cursor {
        let row = self.0.iter().rev().find(|row| row.begun.after < sequence).unwrap_or(&self.0[0]);
        Cursor { epoch: row.begun.epoch, sequence }
    }

    /// The highest number of an epoch, or of those before it if it has none.
    fn last(&self, place: usize) -> u64 {
        let end = self.0[place].end.unwrap_or(u64::MAX);
        self.0.get(place + 1).map_or(end, |next| end.min(next.begun.after))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

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
            (epochs.rows().len(), epochs.rows().take(2).collect::<Vec<_>>()),
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

    #[test]
    fn an_epoch_that_lost_its_end_ends_where_the_next_one_says() {
        let mut epochs = Epochs::new(epoch(5, 0));
        epochs.begin_behind(epoch(6, 100), 20);
        epochs.begin_behind(epoch(7, 300), 90);
        let known = |epoch, sequence| epochs.number(Cursor { epoch, sequence }).is_some();
        assert!(known(5, 20) && !known(5, 21), "it had ended at 20");
        assert!(!known(6, 100) && !known(6, 90), "all of it is lost");
        assert!(known(7, 300) && known(7, 301) && !known(7, 90));
        epochs.begin_behind(epoch(8, 400), 15);
        assert_eq!(
            epochs.number(Cursor { epoch: 5, sequence: 16 }),
            None,
            "the end of the first one is lost as well"
        );
        assert_eq!(epochs.number(Cursor { epoch: 5, sequence: 15 }), Some(15));
    }

    #[test]
    fn positions_before_a_loss_are_unknown() {
        let mut epochs = Epochs::of(vec![epoch(5, 10), epoch(3, 20), epoch(8, 30)]).unwrap();
        epochs.forget_before(4);
        assert_eq!(epochs.rows().len(), 3, "an epoch that is not remembered");
        epochs.forget_before(8);
        assert_eq!(epochs.rows().collect::<Vec<_>>(), [epoch(8, 30)]);
        assert_eq!(epochs.number(Cursor { epoch: 3, sequence: 25 }), None);
        assert_eq!(epochs.number(Cursor { epoch: 8, sequence: 31 }), Some(31));
    }

    /// Epochs of a few numbers each, with the distance to the next one, and the last number that each of them gave.
    fn lives() -> impl Strategy<Value = Vec<(u64, u64)>> {
        vec((0..6_u64, 0..6_u64), 1..8)
    }

    proptest! {
        #[test]
        fn a_number_that_was_given_maps_to_its_position_and_back_and_no_other_one_does(lives in lives()) {
            let mut epochs = Epochs::new(epoch(0, 0));
            let (mut given, mut last) = (vec![], 0);
            for (place, (count, distance)) in lives.iter().enumerate() {
                let place = place as u64;
                if place > 0 {
                    let after = last + distance;
                    epochs.begin_behind(Epoch { epoch: place, after }, last);
                    last = after;
                }
                given.extend((last + 1..=last + count).map(|sequence| Cursor { epoch: place, sequence }));
                last += count;
            }
            epochs.begin_behind(Epoch { epoch: 99, after: last + 10 }, last);
            for cursor in &given {
                prop_assert_eq!(epochs.number(*cursor), Some(cursor.sequence));
                prop_assert_eq!(epochs.cursor(cursor.sequence), *cursor);
            }
            // Besides those, an epoch knows the number before its first one, where a client may have been as it began.
            let first = |row: Epoch| Cursor { epoch: row.epoch, sequence: row.after };
            let firsts: Vec<_> = epochs.rows().map(first).collect();
            for (place, sequence) in (0..lives.len() as u64).flat_map(|epoch| (0..=last + 10).map(move |number| (epoch, number))) {
                let cursor = Cursor { epoch: place, sequence };
                let is_given = given.contains(&cursor) || firsts.contains(&cursor);
                prop_assert_eq!(epochs.number(cursor).is_some(), is_given, "{:?}", cursor);
            }
        }
    }
}
