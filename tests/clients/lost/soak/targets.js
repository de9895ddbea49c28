'use strict';
// Who is in which channel, and what is pushed to whom: so that a second has about as many deliveries as asked for.

const USERS_OF = 2;
const MEMBERS_OF_CHANNEL = 20;
/** A client is in two channels, so a channel has twice as many members as clients that have it as their first. */
const CHANNELS_OF = 2;
/** Of each hundred events so many are for a channel; the others are for a user. */
const FOR_CHANNELS = 50;

const channelsIn = (count) => Math.max(1, Math.ceil(count / MEMBERS_OF_CHANNEL));
const usersIn = (count) => Math.max(1, Math.ceil(count / USERS_OF));

/** The user and the channels of a client of `count`. */
function membershipsOf(number, count) {
  const channels = channelsIn(count);
  const [first, second] = [number % channels, (number * 7 + 3) % channels];
  const names = first === second ? [first, (second + 1) % channels] : [first, second];
  return { user: `u${Math.floor(number / USERS_OF)}`, channels: [...new Set(names)].map((name) => `ch${name}`) };
}

/** A random event for some of `count` clients, and how many deliveries it makes, about. */
function eventFor(n, count, random) {
  const isForChannel = random.below(100) < FOR_CHANNELS;
  if (!isForChannel) return { event: { n, users: [`u${random.below(usersIn(count))}`] }, deliveries: USERS_OF };
  return { event: { n, channels: [`ch${random.below(channelsIn(count))}`] }, deliveries: MEMBERS_OF_CHANNEL * CHANNELS_OF };
}

module.exports = { eventFor, membershipsOf };
