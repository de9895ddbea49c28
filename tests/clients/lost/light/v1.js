'use strict';
// A light client of turted.v1, over a WebSocket at /ws or behind the WebSocket of SockJS.

const { LightClient } = require('./client');
const { LightSocket } = require('./wire');

const HELLO = '{"type":"hello","protocol":"turted.v1"}';

class LightV1 extends LightClient {
  constructor(journal, who, options) {
    super(journal, who, options.isSockJs ? 'light turted.v1 in SockJS' : 'light turted.v1', options);
    this.isSockJs = options.isSockJs;
  }

  connect(on) {
    const path = this.isSockJs ? '/turted/websocket' : '/ws';
    return new LightSocket(this.port, path, { ...on, onmessage: (text) => this.message(JSON.parse(text)) });
  }

  opened() {
    if (this.isSockJs) this.wire.send(HELLO);
  }

  sendRequest(what, name) {
    if (what === 'ident') return this.wire.send(JSON.stringify({ id: what, do: what, data: { username: name } }));
    return this.wire.send(JSON.stringify({ id: what, do: what, channel: name }));
  }

  message(message) {
    if (message.welcome) this.welcomed(message.welcome);
    else if (message.reply === 'resume') this.replied(message);
    else if ('reply' in message) this.answer(message.ok);
    // What comes between `welcome` and the reply to `resume` comes again.
    else if (message.event !== undefined && this.isConnected) this.event(message);
  }

  event({ payload, via, cursor }) {
    this.cursor = cursor;
    this.received(payload, via, cursor);
  }

  welcomed(welcome) {
    this.welcome = welcome;
    if (this.session) return this.wire.send(JSON.stringify({ id: 'resume', do: 'resume', session: this.session, cursor: this.cursor }));
    return this.begin('new');
  }

  /** A new session. */
  begin(told) {
    this.session = this.welcome.session;
    this.cursor = this.welcome.cursor;
    this.connected(told);
    this.introduce();
  }

  replied({ ok, session }) {
    if (!ok) return this.begin('gap-new');
    this.session = session;
    this.connected('recovered');
    return this.resumed();
  }
}

module.exports = { LightV1 };
