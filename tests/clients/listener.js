'use strict';
// The events that a page of any client has received: the part of a tab that all transports share.

const { until } = require('./waiting');

class Listener {
  constructor() {
    /** `{ event, payload, via }`, in the order in which they came. */
    this.events = [];
    /** How often the page lost its connection. */
    this.losses = 0;
  }

  /** Waits for the event `name` and returns it. */
  event(name) {
    const found = () => this.events.find((event) => event.event === name);
    return until(found, () => `the event ${name} among ${JSON.stringify(this.events).slice(0, 2000)}`);
  }

  /** The names of all events so far. */
  get heard() {
    return this.events.map((event) => event.event);
  }

  /** Waits until the connection no longer changes. */
  async settled() {}
}

module.exports = { Listener };
