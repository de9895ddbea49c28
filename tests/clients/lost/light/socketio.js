'use strict';
// A light client of Socket.IO over a WebSocket, which comes back with `pid` and `offset` as socket.io-client does.

const { LightClient } = require('./client');
const { LightSocket } = require('./wire');

const EVENTS = { ident: 'IDENT', join: 'JOIN', leave: 'LEAVE' };

class LightSocketIo extends LightClient {
  /** `keeps`: the server keeps user and channels when it tells a gap. */
  constructor(journal, who, options) {
    super(journal, who, 'light socket.io', options);
    this.keeps = options.keeps;
  }

  connect(on) {
    return new LightSocket(this.port, '/socket.io/?EIO=4&transport=websocket', { ...on, onmessage: (text) => this.packet(text) });
  }

  sendRequest(what, name) {
    this.wire.send(`42${JSON.stringify([EVENTS[what], what === 'ident' ? { username: name } : { channel: name }])}`);
  }

  packet(text) {
    if (text === '2') this.wire.send('3');
    else if (text.startsWith('0')) this.wire.send(this.pid ? `40${JSON.stringify({ pid: this.pid, offset: this.offset })}` : '40');
    else if (text.startsWith('40')) this.begin(JSON.parse(text.slice(2)));
    else if (text.startsWith('42')) this.event(JSON.parse(text.slice(2)));
  }

  begin({ pid }) {
    const isNew = this.pid === undefined;
    const isRecovered = pid === this.pid;
    this.pid = pid;
    if (isRecovered) {
      this.connected('recovered');
      return this.resumed();
    }
    this.offset = undefined;
    if (isNew || !this.keeps) {
      this.connected(isNew ? 'new' : 'gap-new');
      return this.introduce();
    }
    this.connected('gap-kept');
    return this.resumed();
  }

  event([name, ...args]) {
    if (typeof args.at(-1) === 'string') this.offset = args.at(-1);
    if (name === 'OK' || name === 'ERROR') this.answer(name === 'OK');
    else if (name === 'EVENT') this.received(args[0].payload, args[0].via, args[1]);
  }
}

module.exports = { LightSocketIo };
