'use strict';
// The unmodified turted-client on socket.io-client 4.6 and 4.8, which come back by themselves. Its replies have no number,
// but come in the order of the requests.

const TURTED = require('turted-client');
const { until } = require('../../waiting');
const { Teller } = require('./teller');

const VERSIONS = { '4.6': require('socket.io-client-4.6'), 4.8: require('socket.io-client-4') };
const EAGER = { reconnectionDelay: 20, reconnectionDelayMax: 200 };
const NAMES = { IDENT: ['ident', 'username'], JOIN: ['join', 'channel'], LEAVE: ['leave', 'channel'] };

class SocketIoClient extends Teller {
  /** `keeps`: the server keeps user and channels when it tells a gap. `retry`: when the client comes back. */
  constructor(journal, who, url, { version, transports, keeps, retry = EAGER }) {
    super(journal, who, `socket.io-client ${version} over ${transports.join(', then ')}`);
    this.keeps = keeps;
    this.transports = transports;
    this.waiting = [];
    this.native = VERSIONS[version](url, { forceNew: true, ...retry, transports });
    this.listen();
    this.turted = new TURTED(url, this.native);
  }

  listen() {
    const { native } = this;
    const emit = native.emit.bind(native);
    native.emit = (event, data, ...rest) => {
      if (NAMES[event]) this.waiting.push(this.asking(NAMES[event][0], data[NAMES[event][1]]));
      return emit(event, data, ...rest);
    };
    native.on('connect', () => this.connected(this.told()));
    native.on('disconnect', () => this.left());
    native.on('OK', () => this.waiting.shift()?.(true));
    native.on('ERROR', () => this.waiting.shift()?.(false));
    native.on('EVENT', ({ payload, via }, position) => this.received(payload, via, position));
  }

  told() {
    if (!this.wasConnected) {
      this.wasConnected = true;
      return 'new';
    }
    if (this.native.recovered) return 'recovered';
    return this.keeps ? 'gap-kept' : 'gap-new';
  }

  /** Nothing that was asked before is answered any more. */
  left() {
    this.waiting = [];
    this.lost();
  }

  /** turted-client sends its requests by itself when it is connected. */
  async asks(send) {
    await until(() => this.isConnected, `the connection of ${this.kind}`);
    send();
    const [answer] = this.waiting.slice(-1);
    await until(() => !this.waiting.includes(answer), `an answer to ${this.kind}`);
  }

  ident(username) {
    return this.asks(() => this.turted.ident({ username }));
  }

  join(channel) {
    return this.asks(() => this.turted.join(channel));
  }

  leave(channel) {
    return this.asks(() => this.native.emit('LEAVE', { channel }));
  }

  /** An engine.io-client that is cut off in the midst of its upgrade waits for its ping to time out: 45 s. */
  settles() {
    return until(() => this.native.io.engine.transport?.name === this.transports.at(-1), () => `the last transport of ${this.kind}`);
  }

  close() {
    this.end();
    this.native.close();
  }
}

module.exports = { SocketIoClient };
