'use strict';
// Clients of @turted/client, as they are published, with a record of all that they tell.

const path = require('node:path');
const WebSocket = require('ws');
const { TURTED, TurtedError } = require('../../../clients/js/dist/turted.cjs');
const { afterwards } = require('../afterwards');
const { until } = require('../waiting');

const DIST = path.resolve(__dirname, '../../../clients/js/dist');

/** Each way to connect. From node 22 on there is a WebSocket without any package. */
const TRANSPORTS = [
  { title: 'a WebSocket of ws', options: { transports: ['websocket'] } },
  { title: 'SockJS', options: { transports: ['sockjs'] } },
];
if (globalThis.WebSocket) {
  TRANSPORTS.push({ title: 'the WebSocket of node', options: { transports: ['websocket'], WebSocket: undefined } });
}

/** A WebSocket that notes what is sent on it. */
function spying(sent) {
  return class extends WebSocket {
    send(text) {
      sent.push(JSON.parse(text));
      super.send(text);
    }
  };
}

class Page {
  constructor(url, options) {
    this.events = [];
    this.states = [];
    this.gaps = [];
    this.errors = [];
    this.sent = [];
    this.turted = new TURTED(url, { WebSocket: spying(this.sent), ...options });
    this.turted.on('*', (payload, meta) => this.events.push({ payload, ...meta }));
    this.turted.onState((state, why) => this.states.push({ state, ...why }));
    this.turted.onGap((gap) => this.gaps.push(gap));
    this.turted.onError((error) => this.errors.push(error));
  }

  get payloads() {
    return this.events.map(({ payload }) => payload);
  }

  /** Waits for the next time that the client is in this state, or for the state if it is there already. */
  async is(state) {
    await until(() => this.turted.state === state, () => `${state} after ${JSON.stringify(this.states)}`, 20_000);
  }

  /** What the client does next brings it to this state again. */
  async becomes(state) {
    const before = this.states.length;
    await until(() => this.states.slice(before).some((each) => each.state === state), () => `${state} after ${JSON.stringify(this.states)}`, 20_000);
  }

  async heard(payload) {
    await until(() => this.payloads.includes(payload), () => `${payload} among ${JSON.stringify(this.payloads)}`);
  }

  /** The requests of this kind that were sent. */
  requests(kind) {
    return this.sent.filter((message) => message.do === kind);
  }
}

/** A client that ends with the test `t`. It waits shortly before it comes back, because real waits only slow tests down. */
function open(t, url, options = {}) {
  const page = new Page(url, { retry: { min: 50 }, ...options });
  afterwards(t, () => page.turted.close());
  return page;
}

module.exports = { DIST, open, TRANSPORTS, TURTED, TurtedError };
