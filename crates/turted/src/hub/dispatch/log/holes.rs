//! Numbers that no entry of the log has: where an epoch begins far behind the end of the one before.
//!
//! Entries stand in the log side by side. A log without holes finds an entry by its number alone, and this takes no memory
//! then.

use std::collections::VecDeque;

/// Holes that are known at once: as many as there are [epochs](turted_core::epochs) whose positions are known.
const HOLES_MAX: usize = 64;

/// The holes between the entries that are kept, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// How many numbers are missing in all holes that are gone.
    missing_before: u64,
    holes: VecDeque<Hole>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    /// The number of the last entry before the hole.
    after: u64,
    /// The number of the first entry behind it.
    until: u64,
    /// How many numbers are missing in this hole and in all holes before it.
    missing: u64,
}

impl Holes {
    pub(super) fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    /// Adds a hole behind all others: no entry has a number between these two.
    pub(super) fn add(&mut self, after: u64, until: u64) {
        let missing_before = self.holes.back().map_or(self.missing_before, |last| last.missing);
        self.holes.push_back(Hole { after, until, missing: missing_before + (until - after - 1) });
    }

    /// The number of the last entry before the oldest hole, if there is no room for one more hole.
    pub(super) fn end_of_oldest_if_full(&self) -> Option<u64> {
        let oldest = self.holes.front().filter(|_| self.holes.len() >= HOLES_MAX)?;
        Some(oldest.after)
    }

    /// Forgets the holes before `first`, the number of the oldest entry that is kept.
    pub(super) fn forget_before(&mut self, first: u64) {
        while let Some(hole) = self.holes.front().filter(|hole| hole.until <= first) {
            self.missing_before = hole.missing;
            self.holes.pop_front();
        }
    }

    /// The place of an entry among those that are kept, of which `first` is the oldest. `None` if the number is in a hole,
    /// or comes before `first`.
    pub(super) fn place(&self, first: u64, sequence: u64) -> Option<usize> {
        let (number, missing) = self.last_up_to(sequence);
        let place = sequence.checked_sub(first)?.checked_sub(missing - self.missing_before)?;
        usize::try_from(place).ok().filter(|_| number == sequence)
    }

    /// The place of the first entry behind this number.
    pub(super) fn place_behind(&self, first: u64, sequence: u64) -> usize {
        let (number, missing) = self.last_up_to(sequence);
        let last =
            number.checked_sub(first).and_then(|place| place.checked_sub(missing - self.missing_before));
        last.map_or(0, |last| usize::try_from(last).map_or(usize::MAX, |last| last.saturating_add(1)))
    }

    /// The last number up to `sequence` that is in no hole, and how many numbers are missing before it.
    fn last_up_to(&self, sequence: u64) -> (u64, u64) {
        let behind = self.holes.partition_point(|hole| hole.until <= sequence);
        let missing = behind.checked_sub(1).map_or(self.missing_before, |last| self.holes[last].missing);
        let number = self.holes.get(behind).map_or(sequence, |next| sequence.min(next.after));
        (number, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries 5, 6, 10, 11, 100.
    fn holes() -> Holes {
        let mut holes = Holes::default();
        holes.add(6, 10);
        holes.add(11, 100);
        holes
    }

    #[test]
    fn entries_stand_side_by_side_over_holes() {
        let holes = holes();
        let places = |first: u64| [4, 5, 6, 7, 9, 10, 11, 12, 99, 100, 101].map(|at| holes.place(first, at));
        let none = None;
        assert_eq!(
            places(5),
            [none, Some(0), Some(1), none, none, Some(2), Some(3), none, none, Some(4), Some(5)]
        );
        assert_eq!(
            places(6),
            [none, none, Some(0), none, none, Some(1), Some(2), none, none, Some(3), Some(4)]
        );
    }

    #[test]
    fn what_comes_behind_a_number_in_a_hole_is_the_first_entry_behind_the_hole() {
        let holes = holes();
        let places = [0, 4, 5, 6, 7, 9, 10, 11, 12, 99, 100].map(|at| holes.place_behind(5, at));
        assert_eq!(places, [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]);
    }

    #[test]
    fn holes_go_with_the_entries_before_them() {
        let mut holes = holes();
        holes.forget_before(9);
        assert_eq!((holes.holes.len(), holes.place(6, 10)), (2, Some(1)), "6 is kept");
        holes.forget_before(10);
        assert_eq!((holes.holes.len(), holes.place(10, 10), holes.place(10, 100)), (1, Some(0), Some(2)));
        holes.forget_before(101);
        assert!(holes.is_empty());
        assert_eq!((holes.place(101, 103), holes.place_behind(101, 103)), (Some(2), 3));
        holes.add(103, 200);
        assert_eq!(
            (holes.place(101, 103), holes.place(101, 150), holes.place(101, 201)),
            (Some(2), None, Some(4))
        );
    }
}
