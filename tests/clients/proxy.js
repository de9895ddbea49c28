'use strict';
// A TCP proxy between client and server, as a network that fails.

const net = require('node:net');
const { once } = require('node:events');
const { afterwards } = require('./afterwards');

class Proxy {
  constructor(targetPort, latencyMs) {
    this.targetPort = targetPort;
    this.latencyMs = latencyMs;
    this.away = false;
    this.pairs = new Set();
    this.listener = net.createServer((client) => this.accept(client));
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  accept(client) {
    if (this.away) {
      client.on('error', () => {});
      client.destroy();
      return;
    }
    const upstream = net.connect(this.targetPort, '127.0.0.1');
    const pair = { client, upstream };
    this.pairs.add(pair);
    this.forward(client, upstream);
    this.forward(upstream, client);
    upstream.on('close', () => {
      this.later(() => client.destroySoon());
      this.pairs.delete(pair);
    });
    client.on('close', () => pair.halfOpen || this.later(() => upstream.destroySoon()));
  }

  forward(from, to) {
    from.setNoDelay(true);
    from.on('error', () => {});
    from.on('data', (chunk) => this.later(() => to.destroyed || to.write(chunk)));
    from.on('end', () => this.later(() => to.destroyed || to.end()));
  }

  /** Runs `action` after the latency, and after every action that was delayed before it. */
  later(action) {
    if (this.latencyMs > 0) setTimeout(action, this.latencyMs);
    else action();
  }

  /** Cuts every connection; new ones are refused until `restore()`. */
  drop() {
    this.away = true;
    for (const { client, upstream } of this.pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  /** As `drop()`, but the server does not notice: its ends stay open, and the proxy no longer reads them. */
  dropUnnoticed() {
    this.away = true;
    for (const pair of this.pairs) {
      pair.halfOpen = true;
      pair.client.destroy();
    }
  }

  restore() {
    this.away = false;
  }

  async close() {
    this.drop();
    this.listener.close();
    await once(this.listener, 'close');
  }
}

/** A proxy to `server` that ends with the test `t`; `latencyMs` in each direction. */
async function proxyTo(t, server, latencyMs = 0) {
  const proxy = new Proxy(server.port, latencyMs);
  afterwards(t, () => proxy.close());
  proxy.listener.listen(0, '127.0.0.1');
  await once(proxy.listener, 'listening');
  return proxy;
}

module.exports = { proxyTo };
