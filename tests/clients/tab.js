'use strict';
// One page of a user: the unmodified TURTED client on one of four generations of socket.io-client. Every
// transport has a tab with the interface that `everywhere.js` uses.

const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');
const TURTED = require('turted-client');
const { afterwards } = require('./afterwards');
const { Listener } = require('./listener');
const { next, until } = require('./waiting');

const VERSIONS = [
  { name: 'socket.io-client 1.7', io: require('socket.io-client-1'), major: 1 },
  { name: 'socket.io-client 2.5', io: require('socket.io-client-2'), major: 2 },
  { name: 'socket.io-client 3.1', io: require('socket.io-client-3'), major: 3 },
  { name: 'socket.io-client 4.x', io: require('socket.io-client-4'), major: 4 },
];
const TRANSPORTS = [
  { over: 'polling', transports: ['polling'] },
  { over: 'websocket', transports: ['websocket'] },
  { over: 'polling, then websocket', transports: ['polling', 'websocket'] },
];

/** Every client over every transport: the rows of the table-driven suites. */
const CELLS = VERSIONS.flatMap((version) =>
  TRANSPORTS.map((transport) => ({ ...version, ...transport, title: `${version.name} over ${transport.over}` })),
);

/** Reconnects at once, so that the tests of reconnection are quick. */
const EAGER = { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, randomizationFactor: 0 };

class Tab extends Listener {
  constructor(turted, cell) {
    super();
    this.turted = turted;
    this.native = turted.nativeConnection;
    this.cell = cell;
    this.answers = [];
    this.native.on('disconnect', () => this.losses++);
    this.native.on('EVENT', (event) => this.events.push(event));
    for (const name of ['OK', 'ERROR', 'ECHO']) {
      this.native.on(name, (data) => this.answers.push([name, data]));
    }
  }

  /** Waits for this answer, and takes it from the list. */
  async answer(name, data) {
    const wanted = [name, data];
    const index = () => this.answers.findIndex((answer) => isDeepStrictEqual(answer, wanted));
    await until(() => index() >= 0, () => `${JSON.stringify(wanted)} among ${JSON.stringify(this.answers)}`);
    this.answers.splice(index(), 1);
  }

  /** Waits for an ERROR, takes it from the list, and returns its text. */
  async refusal() {
    const index = () => this.answers.findIndex(([name]) => name === 'ERROR');
    await until(() => index() >= 0, () => `an ERROR among ${JSON.stringify(this.answers)}`);
    return this.answers.splice(index(), 1)[0][1];
  }

  async ident(username, secrets = {}) {
    this.turted.ident({ username, ...secrets });
    await this.answer('OK', { username });
    this.user = username;
  }

  async join(channel) {
    this.turted.join(channel);
    await this.answer('OK', { channel });
  }

  /** Checks that the connection works. All answers before this one have then arrived. */
  async echo(data = 'still here') {
    this.turted.echo(data);
    await this.answer('ECHO', data);
  }

  async leave(channel) {
    this.native.emit('LEAVE', { channel });
    await this.answer('OK', { channel });
  }

  /** Returns why the page may not join `channel`. */
  refused(channel) {
    this.turted.join(channel);
    return this.refusal();
  }

  /** Waits for the last transport. */
  settled() {
    return until(() => this.transport === this.cell.transports.at(-1), 'the last transport');
  }

  /** Waits until the connection is lost. Returns a function that waits until it is back. */
  async gone() {
    assert.ok(this.native.connected);
    await next(this.native, 'disconnect');
    return async () => {
      await until(() => this.native.connected, 'the connection');
      // If the server does not recover the session, turted-client identifies itself, except on 3.x.
      if (this.cell.major !== 3 && this.user && !this.native.recovered) await this.answer('OK', { username: this.user });
    };
  }

  close() {
    this.native.close();
  }

  get transport() {
    return this.native.io.engine.transport.name;
  }
}

/** A page on `url` that closes with the test `t`. */
function open(t, cell, url, options = {}) {
  const native = cell.io(url, { ...EAGER, transports: cell.transports, ...options });
  afterwards(t, () => native.close());
  return new Tab(new TURTED(url, native), cell);
}

/** A page exactly as the README of turted-client opens it: no option at all. */
function openPlain(t, url) {
  const turted = new TURTED(url);
  afterwards(t, () => turted.nativeConnection.close());
  return new Tab(turted, { transports: ['polling', 'websocket'], major: 2 });
}

module.exports = { CELLS, EAGER, VERSIONS, open, openPlain };
