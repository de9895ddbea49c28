//! Which dispatches a client has received, however many connections it had.

use super::plan::Plan;
use super::stamp::Stamp;

const BITS: usize = u64::BITS as usize;

/// The marks of one client.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The last dispatch of each pusher, plus one; 0 before the first.
    last: Box<[u32]>,
    /// The numbers of the dispatches around a return are below this, and each client has every one of its channel.
    told: u32,
    groups: u32,
    /// Those that the client received, a bit each.
    seen: Box<[u64]>,
}

/// What a dispatch was for the client that received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    InOrder,
    /// A later one came before.
    Disordered,
    Again,
}

impl Marks {
    pub(crate) fn new(plan: &Plan) -> Self {
        let bits = plan.told_to_each() as usize;
        Self {
            last: vec![0; plan.pushers].into(),
            told: plan.told(),
            groups: u32::try_from(plan.spread.groups()).unwrap_or(u32::MAX),
            seen: vec![0; bits.div_ceil(BITS)].into(),
        }
    }

    /// Whether a dispatch was pushed for the return.
    pub(crate) fn is_told(&self, Stamp(number): Stamp) -> bool {
        number < self.told
    }

    /// Marks a dispatch.
    pub(crate) fn mark(&mut self, stamp: Stamp) -> Mark {
        let Stamp(number) = stamp;
        if self.is_told(stamp) && self.was_seen(number) {
            return Mark::Again;
        }
        // All of a return are pushed by the same backend.
        let pusher = if self.is_told(stamp) { 0 } else { number as usize % self.last.len() };
        let last = &mut self.last[pusher];
        if number + 1 == *last {
            return Mark::Again;
        }
        if number < *last {
            return Mark::Disordered;
        }
        *last = number + 1;
        Mark::InOrder
    }

    /// Whether a dispatch of the return was there before; from now on it was.
    fn was_seen(&mut self, number: u32) -> bool {
        let index = (number / self.groups) as usize;
        let (bits, bit) = (&mut self.seen[index / BITS], 1 << (index % BITS));
        let was_seen = *bits & bit != 0;
        *bits |= bit;
        was_seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(pushers: usize, told: u32) -> Marks {
        Marks { last: vec![0; pushers].into(), told, groups: 2, seen: vec![0; 2].into() }
    }

    #[test]
    fn what_comes_twice_around_a_return_is_told_however_much_lies_between() {
        let mut marks = marks(3, 200);
        let mut mark = |number| marks.mark(Stamp(number));
        assert_eq!(
            [1, 3, 7, 5].map(&mut mark),
            [Mark::InOrder, Mark::InOrder, Mark::InOrder, Mark::Disordered]
        );
        assert_eq!([1, 5, 199, 199].map(mark), [Mark::Again, Mark::Again, Mark::InOrder, Mark::Again]);
    }

    #[test]
    fn later_dispatches_are_in_the_order_of_each_pusher() {
        let mut marks = marks(2, 4);
        marks.mark(Stamp(3));
        let mut mark = |number| marks.mark(Stamp(number));
        assert_eq!(
            [4, 7, 6, 5].map(&mut mark),
            [Mark::InOrder, Mark::InOrder, Mark::InOrder, Mark::Disordered]
        );
        assert_eq!([6, 8].map(mark), [Mark::Again, Mark::InOrder]);
    }
}
