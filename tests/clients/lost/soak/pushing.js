'use strict';
// Backends that push at a rate of deliveries, half of them with keys, whatever the server does.

const { setTimeout: pause } = require('node:timers/promises');
const { Backend } = require('../backend');
const { MARKS } = require('../clients/teller');
const { eventFor } = require('./targets');

const EVERY_MS = 10;
/** Pushes that may wait for an answer at once. A server that is stopped answers none. */
const WAITING_MAX = 64;
/** What was not pushed while the server was away is not made up for. */
const BEHIND_MS_MAX = 500;
const BATCH = 5;
const EVERYONE_EVERY_MS = 20_000;

class Pushing {
  /** `keys`: whether keys outlive the server. */
  constructor(journal, url, { rate, count, random, keys }) {
    Object.assign(this, { rate, count, random, keys });
    this.backend = new Backend(journal, 'backend', url);
    this.numbers = 0;
    this.marks = MARKS;
    this.waiting = 0;
    this.pushes = 0;
    this.isOver = false;
  }

  async run() {
    let due = Date.now();
    let everyone = Date.now();
    while (!this.isOver) {
      const at = Date.now();
      due = Math.max(due, at - BEHIND_MS_MAX);
      while (due < at && this.waiting < WAITING_MAX) due += (this.push() * 1000) / this.rate;
      if (at - everyone > EVERYONE_EVERY_MS && this.waiting < WAITING_MAX) {
        everyone = at;
        due += (this.count * 1000) / this.rate;
        this.send([{ n: this.numbers++, all: true }]);
      }
      await pause(EVERY_MS);
    }
    while (this.waiting > 0) await pause(EVERY_MS);
  }

  /** Returns how many deliveries this makes. */
  push() {
    const size = this.random.chance(0.1) ? BATCH : 1;
    const parts = Array.from({ length: size }, () => eventFor(this.numbers++, this.count, this.random));
    this.send(parts.map(({ event }) => event));
    return parts.reduce((sum, { deliveries }) => sum + deliveries, 0);
  }

  async send(events) {
    this.waiting++;
    this.pushes++;
    try {
      if (this.keys && this.random.chance(0.5)) await this.backend.pushUntilAccepted(events);
      else await this.backend.push(events);
    } finally {
      this.waiting--;
    }
  }

  /** Pushes an event to everyone until it is accepted. Returns its number. */
  async mark() {
    const n = this.marks++;
    await this.backend.pushUntilAccepted([{ n, all: true }]);
    return n;
  }

  async stop() {
    this.isOver = true;
  }

  close() {
    this.backend.close();
  }
}

module.exports = { Pushing };
