'use strict';
// A page that speaks turted.v1, over a WebSocket at /ws or over any transport of SockJS.

const assert = require('node:assert/strict');
const WebSocket = require('ws');
const { afterwards } = require('./afterwards');
const { Listener } = require('./listener');
const { V1 } = require('./v1');
const { until, untilDoing } = require('./waiting');

class V1Tab extends Listener {
  constructor(client) {
    super();
    this.client = client;
    this.events = client.events;
    client.onloss = () => this.losses++;
  }

  async ident(username) {
    assert.equal((await this.client.ident({ username })).username, username);
  }

  async join(channel) {
    assert.equal((await this.client.join(channel)).channel, channel);
  }

  async leave(channel) {
    assert.equal((await this.client.leave(channel)).channel, channel);
  }

  async echo(data = 'still here') {
    assert.deepEqual((await this.client.request({ do: 'echo', data })).data, data);
  }

  /** Returns why the page may not join `channel`. */
  async refused(channel) {
    const { ok, error } = await this.client.request({ do: 'join', channel });
    assert.equal(ok, false);
    assert.match(error.code, /^channel-/);
    return error.reason;
  }

  /** Waits until the connection is lost. Returns a function that waits until it is back. */
  async gone() {
    // In node xhr-streaming does not notice that its response broke off until it sends something.
    const speak = () => this.client.isReady && this.client.request({ do: 'ping' });
    await untilDoing(() => !this.client.isReady, speak, 'the loss of the connection');
    return () => until(() => this.client.isReady, 'the connection');
  }

  close() {
    this.client.close();
  }
}

/** A page that speaks turted.v1 over the connection that `connect()` returns. */
function openV1(t, connect, hello) {
  const tab = new V1Tab(new V1(connect, hello));
  afterwards(t, () => tab.close());
  return tab;
}

/** A page with a WebSocket, which asks for the subprotocol as a careful client does. */
function openWebSocket(t, url, options = {}) {
  return openV1(t, () => new WebSocket(`${url.replace('http', 'ws')}/ws`, 'turted.v1', options));
}

module.exports = { openV1, openWebSocket };
