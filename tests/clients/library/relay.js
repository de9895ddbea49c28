'use strict';
// A network between client and server that cuts, swallows without an end, and lets no WebSocket through.

const net = require('node:net');
const { once } = require('node:events');
const { afterwards } = require('../afterwards');

const UPGRADE = /^upgrade: *websocket/im;
const REFUSAL = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

class Relay {
  constructor(targetPort) {
    this.targetPort = targetPort;
    this.pairs = new Set();
    this.upgrades = 0;
    /** What is done with a WebSocket: null, 'refuse' or 'swallow'. */
    this.webSockets = null;
    this.isAway = false;
    this.listener = net.createServer((client) => this.accept(client));
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  accept(client) {
    const upstream = net.connect(this.targetPort, '127.0.0.1');
    const pair = { client, upstream, isSwallowed: false };
    this.pairs.add(pair);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('end', () => pair.isSwallowed || to.end());
      from.on('close', () => {
        this.pairs.delete(pair);
        if (!pair.isSwallowed) to.destroy();
      });
    }
    if (this.isAway) return this.destroy(pair);
    upstream.on('data', (chunk) => pair.isSwallowed || client.write(chunk));
    client.on('data', (chunk) => this.forward(pair, chunk));
  }

  forward(pair, chunk) {
    if (UPGRADE.test(chunk.toString('latin1'))) {
      this.upgrades++;
      if (this.webSockets === 'refuse') return pair.client.end(REFUSAL);
      if (this.webSockets === 'swallow') pair.isSwallowed = true;
    }
    if (!pair.isSwallowed) pair.upstream.write(chunk);
  }

  destroy(pair) {
    pair.client.destroy();
    pair.upstream.destroy();
  }

  /** Cuts every connection. New ones are welcome. */
  cut() {
    this.pairs.forEach((pair) => this.destroy(pair));
  }

  /** Cuts every connection and refuses new ones until `restore()`. */
  drop() {
    this.isAway = true;
    this.cut();
  }

  restore() {
    this.isAway = false;
  }

  /** Nothing passes any more on the connections that there are, and neither end hears of it. */
  swallow() {
    for (const pair of this.pairs) pair.isSwallowed = true;
  }

  async close() {
    this.cut();
    this.listener.close();
    await once(this.listener, 'close');
  }
}

/** A relay to `server` that ends with the test `t`. */
async function relayTo(t, server) {
  const relay = new Relay(server.port);
  afterwards(t, () => relay.close());
  relay.listener.listen(0, '127.0.0.1');
  await once(relay.listener, 'listening');
  return relay;
}

module.exports = { Relay, relayTo };
