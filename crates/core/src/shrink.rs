//! Containers that give back memory when most of their entries are gone.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Containers with room for fewer entries are not worth shrinking.
const SPARE: usize = 1_024;

/// Gives back the unused room of a map, if most of its room is unused.
pub fn shrink_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if is_mostly_empty(map.len(), map.capacity()) {
        map.shrink_to(2 * map.len());
    }
}

/// Gives back the unused room of a queue, if most of its room is unused.
pub fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if is_mostly_empty(queue.len(), queue.capacity()) {
        queue.shrink_to(2 * queue.len());
    }
}

/// Entries are moved when a container shrinks. So it shrinks only when few entries are left of many.
fn is_mostly_empty(used: usize, capacity: usize) -> bool {
    capacity > SPARE && used < capacity / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gives_back_its_room_when_little_of_it_is_used() {
        let mut map: HashMap<_, _> = (0..10_000).map(|number| (number, number)).collect();
        let mut queue: VecDeque<_> = (0..10_000).collect();
        map.retain(|number, _| *number < 5_000);
        queue.truncate(5_000);
        shrink_map(&mut map);
        shrink_queue(&mut queue);
        assert!(map.capacity() >= 7_000, "half of it is used");
        assert!(queue.capacity() >= 10_000, "half of it is used");
        map.retain(|number, _| *number < 10);
        queue.truncate(10);
        shrink_map(&mut map);
        shrink_queue(&mut queue);
        assert!(map.capacity() < 100);
        assert!(queue.capacity() < 100);
        assert!((0..10).all(|number| map[&number] == number && queue[number] == number));
    }
}
