'use strict';
// Random numbers that a seed repeats (mulberry32).

/** `below(n)`: an integer; `one(list)`: an item; `chance(p)`: true that often. */
function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound) => Math.floor(next() * bound);
  return { below, chance: (share) => next() < share, one: (list) => list[below(list.length)] };
}

module.exports = { randomOf };
