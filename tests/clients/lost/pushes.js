'use strict';
// What was accepted, and where it is in the log: from what backends were answered and from what clients received. Finds
// what contradicts itself: positions that were given out twice, and an order that time rules out.

/** Which position is before which. Positions of a log on disk are compared by their number, which only grows. */
class Order {
  constructor(store) {
    this.store = store;
    this.epochs = new Map();
  }

  /** Each epoch in memory begins anew, so its place is that of its first sight. */
  sight(position, at) {
    const [epoch] = position.split('-');
    this.epochs.set(epoch, Math.min(this.epochs.get(epoch) ?? Infinity, at));
    this.places = undefined;
  }

  /** A number that is larger for what is later in the log. */
  rank(position) {
    const [epoch, sequence] = position.split('-');
    if (this.store === 'disk') return Number(sequence);
    this.places ??= new Map([...this.epochs].sort((a, b) => a[1] - b[1]).map(([name], index) => [name, index]));
    return this.places.get(epoch) * 2 ** 42 + Number(sequence);
  }
}

/** The position `steps` behind this one. */
function behind(position, steps) {
  const [epoch, sequence] = position.split('-');
  return `${epoch}-${Number(sequence) + steps}`;
}

class Pushes {
  constructor(history, store, find) {
    this.history = history;
    this.find = find;
    this.order = new Order(store);
    this.heard = new Map();
    this.fromBackends();
    this.fromClients();
    for (const push of history.pushes.values()) this.settle(push);
    this.numberedOnce();
    this.inTime();
  }

  fromBackends() {
    for (const push of this.history.pushes.values()) {
      for (const positions of push.answers) {
        positions.forEach((position, index) => this.placed(this.history.dispatches.get(push.numbers[index]), position, push.ended, 'its backend'));
      }
    }
  }

  fromClients() {
    for (const client of this.history.clients.values()) {
      client.numbers.forEach((n, index) => {
        const dispatch = this.history.dispatches.get(n);
        if (!dispatch) return this.find('invented', { who: client.who, n, why: 'nobody pushed it' });
        this.heard.set(n, Math.min(this.heard.get(n) ?? Infinity, client.times[index]));
        if (client.positions[index] !== undefined) this.placed(dispatch, client.positions[index], client.times[index], client.who);
      });
    }
  }

  placed(dispatch, position, at, who) {
    this.order.sight(position, at);
    if (dispatch.position === undefined) dispatch.position = position;
    if (dispatch.position === position || dispatch.isTwice) return;
    dispatch.isTwice = true;
    this.find('dispatched twice', { who, n: dispatch.n, why: `${dispatch.position} and ${position}` });
  }

  /** A push of which something was received was accepted as a whole. */
  settle(push) {
    const heard = push.numbers.filter((n) => this.heard.has(n));
    const isAnswered = push.answers.length > 0;
    const isRefused = !isAnswered && push.attempts === push.refusals;
    if (isRefused && heard.length > 0) this.find('refused but delivered', { n: heard[0], why: `push ${push.name}` });
    push.isAccepted = isAnswered || (heard.length > 0 && !isRefused);
    push.isUnsure = !isAnswered;
    push.ended = heard.reduce((end, n) => Math.min(end, this.heard.get(n)), push.ended);
    const known = push.numbers.map((n) => this.history.dispatches.get(n)).find(({ position }) => position !== undefined);
    if (!push.isAccepted || !known) return;
    for (const n of push.numbers) {
      const dispatch = this.history.dispatches.get(n);
      dispatch.position ??= behind(known.position, dispatch.index - known.index);
    }
  }

  numberedOnce() {
    const taken = new Map();
    for (const { n, position } of this.history.dispatches.values()) {
      if (position === undefined) continue;
      const rank = this.order.rank(position);
      if (taken.has(rank)) this.find('number used twice', { n, why: `${position} is also that of ${taken.get(rank)}` });
      taken.set(rank, n);
    }
  }

  /** A push that was answered before another one began is before it in the log. */
  inTime() {
    const accepted = [...this.history.pushes.values()].filter((push) => push.isAccepted && this.rankOf(push.numbers[0]) !== undefined);
    const begun = [...accepted].sort((a, b) => a.begun - b.begun);
    const ended = [...accepted].sort((a, b) => a.ended - b.ended);
    let highest = -Infinity;
    let index = 0;
    for (const push of begun) {
      for (; index < ended.length && ended[index].ended < push.begun; index++) highest = Math.max(highest, this.rankOf(ended[index].numbers.at(-1)));
      const rank = this.rankOf(push.numbers[0]);
      if (rank < highest) this.find('reordered', { n: push.numbers[0], why: 'it is in the log before a push that was answered before it began' });
    }
  }

  /** Where this dispatch is in the log, if anybody has told. */
  rankOf(n) {
    const { position } = this.history.dispatches.get(n) || {};
    return position === undefined ? undefined : this.order.rank(position);
  }
}

module.exports = { Pushes };
