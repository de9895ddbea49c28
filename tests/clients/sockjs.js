'use strict';
// A page with the unmodified sockjs-client and the messages of turted 0.1. When it comes back it identifies
// itself again, and does nothing else.

const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');
const SockJS = require('sockjs-client');
const { afterwards } = require('./afterwards');
const { Listener } = require('./listener');
const { openV1 } = require('./websocket');
const { until, untilDoing } = require('./waiting');

// The transports that sockjs-client has in node.
const SOCKJS_TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
const HELLO = { type: 'hello', protocol: 'turted.v1' };
const COME_BACK_MS = 20;
const ANSWERS = new Set(['IDENTIFIED', 'ERR', 'message', 'welcome']);

class LegacyTab extends Listener {
  constructor(connect) {
    super();
    this.connect = connect;
    this.isReady = false;
    this.open();
  }

  open() {
    const sock = this.connect();
    this.sock = sock;
    this.answers = [];
    this.asked = 0;
    sock.onopen = () => {
      if (this.user) this.say('ident', this.user);
      else this.isReady = true;
    };
    sock.onmessage = ({ data }) => this.receive(JSON.parse(data));
    sock.onclose = () => {
      this.isReady = false;
      this.losses++;
      if (!this.isClosed) setTimeout(() => this.isClosed || this.open(), COME_BACK_MS);
    };
  }

  receive(message) {
    if (!ANSWERS.has(message.type)) this.events.push({ event: message.type, payload: message.data, via: message.via });
    else if (this.isReady) this.answers.push(message);
    else this.isReady = isDeepStrictEqual(message, { type: 'IDENTIFIED', data: {} });
  }

  say(type, data) {
    this.sock.send(JSON.stringify({ type, data }));
  }

  /** Sends a message and returns its answer. Every message is answered once. */
  async ask(type, data) {
    await until(() => this.isReady, 'the connection');
    const index = this.asked++;
    this.say(type, data);
    await until(() => this.answers.length > index, () => `an answer to ${type}`);
    return this.answers[index];
  }

  async ident(username) {
    assert.deepEqual(await this.ask('ident', { username }), { type: 'IDENTIFIED', data: {} });
    this.user = { username };
  }

  async join(channel) {
    await until(() => this.isReady, 'the connection');
    this.say('join', { channel });
    await this.echo();
  }

  async leave(channel) {
    this.say('leave', { channel });
    await this.echo();
  }

  async echo(data = 'still here') {
    assert.deepEqual(await this.ask('echo', data), { type: 'message', data });
  }

  /** Returns why the page may not join `channel`. */
  async refused(channel) {
    const { type, data } = await this.ask('join', { channel });
    assert.equal(type, 'ERR');
    return data.ERR;
  }

  /** Waits until the connection is lost. Returns a function that waits until it is back. */
  async gone() {
    // In node xhr-streaming does not notice that its response broke off until it sends something.
    const speak = () => this.isReady && this.say('echo', 'anybody?');
    await untilDoing(() => !this.isReady, speak, 'the loss of the connection');
    return () => until(() => this.isReady, 'the connection');
  }

  close() {
    this.isClosed = true;
    this.sock.close();
  }
}

function connect(url, transport) {
  return new SockJS(`${url}/turted`, null, { transports: [transport] });
}

function openSockJs(t, url, transport) {
  const tab = new LegacyTab(() => connect(url, transport));
  afterwards(t, () => tab.close());
  return tab;
}

/** A page that speaks turted.v1 in SockJS. */
function openSockJsV1(t, url, transport) {
  return openV1(t, () => connect(url, transport), HELLO);
}

module.exports = { SOCKJS_TRANSPORTS, openSockJs, openSockJsV1 };
