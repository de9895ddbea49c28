'use strict';
// What a page of any client has heard: the part of a tab that all transports share.

const { until } = require('./waiting');

class Listener {
  constructor() {
    /** `{ event, payload, via }`, in the order they came. */
    this.events = [];
    /** How often it lost its connection. */
    this.losses = 0;
  }

  /** Waits for the event `name` and gives it. */
  event(name) {
    const found = () => this.events.find((event) => event.event === name);
    return until(found, () => `the event ${name} among ${JSON.stringify(this.events).slice(0, 2000)}`);
  }

  /** The names of all events so far. */
  get heard() {
    return this.events.map((event) => event.event);
  }

  /** Waits until nothing about the connection changes any more. */
  async settled() {}
}

module.exports = { Listener };
