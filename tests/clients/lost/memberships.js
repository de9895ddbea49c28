'use strict';
// What a client was a member of, and when: as a user, in a channel, or among everyone. A client knows when it asked and
// when it was told, and not when the server did it. So in between it may be a member or not.

/** Everyone is a target without a name. */
const EVERYONE = '*';
const user = (name) => `user ${name}`;
const channel = (name) => `channel ${name}`;

const OUT = 0;
const MAYBE = 1;
const IN = 2;

/** Whether one client was a target, over time. */
class Membership {
  constructor() {
    this.times = [-Infinity];
    this.states = [OUT];
  }

  get state() {
    return this.states.at(-1);
  }

  set(at, state) {
    if (state === this.state) return;
    this.times.push(at);
    this.states.push(state);
  }

  /** From this time on it may have been one or not. */
  blur(from, at) {
    const last = this.state;
    if (last === OUT && this.times.at(-1) <= from) return;
    while (this.times.at(-1) > from) {
      this.times.pop();
      this.states.pop();
    }
    this.set(from, MAYBE);
    this.set(at, last);
  }

  /** The lowest and the highest state between these times. */
  during(from, to) {
    let lowest = IN;
    let highest = OUT;
    for (let index = this.times.length - 1; index >= 0; index--) {
      if (this.times[index] > to) continue;
      lowest = Math.min(lowest, this.states[index]);
      highest = Math.max(highest, this.states[index]);
      if (this.times[index] <= from) break;
    }
    return { lowest, highest };
  }
}

/** All memberships of one client, from what it asked and was told. */
class Memberships {
  constructor() {
    this.byTarget = new Map();
    this.asked = new Map();
    this.lostAt = -Infinity;
  }

  of(target) {
    if (!this.byTarget.has(target)) this.byTarget.set(target, new Membership());
    return this.byTarget.get(target);
  }

  users() {
    return [...this.byTarget.keys()].filter((target) => target.startsWith('user ') && this.of(target).state !== OUT);
  }

  /** What a request changes: `[target, state]` of each target. */
  changes({ what, name }) {
    if (what === 'join') return [[channel(name), IN]];
    if (what === 'leave') return [[channel(name), OUT]];
    const others = this.users().filter((target) => target !== user(name));
    return [[user(name), IN], ...others.map((target) => [target, OUT])];
  }

  ask(step) {
    const changes = this.changes(step).map(([target, state]) => ({ target, state, before: this.of(target).state }));
    this.asked.set(step.id, changes);
    for (const { target, state, before } of changes) {
      if (before !== state) this.of(target).set(step.at, MAYBE);
    }
  }

  told({ id, ok, at }) {
    const changes = this.asked.get(id) || [];
    this.asked.delete(id);
    for (const { target, state, before } of changes) {
      const becomes = ok ? state : before;
      this.of(target).set(at, this.isAskedOtherwise(target, becomes) ? MAYBE : becomes);
    }
  }

  /** The server may have done a later request already, which is not answered yet. */
  isAskedOtherwise(target, state) {
    return [...this.asked.values()].flat().some((change) => change.target === target && change.state !== state);
  }

  /** A session that is new has nothing of the one before. */
  connected({ told, at }) {
    if (told === 'gap-new') {
      const asked = new Set([...this.asked.values()].flat().map(({ target }) => target));
      for (const [target, membership] of this.byTarget) {
        membership.blur(this.lostAt, at);
        membership.set(at, asked.has(target) ? MAYBE : OUT);
      }
    }
    this.of(EVERYONE).set(at, IN);
  }

  take(step) {
    if (step.do === 'open') this.of(EVERYONE).set(step.at, MAYBE);
    else if (step.do === 'connected') this.connected(step);
    else if (step.do === 'lost') this.lostAt = step.at;
    else if (step.do === 'ask') this.ask(step);
    else if (step.do === 'told') this.told(step);
  }
}

module.exports = { channel, EVERYONE, IN, MAYBE, Memberships, OUT, user };
