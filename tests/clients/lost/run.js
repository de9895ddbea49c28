'use strict';
// One run: a server, a relay before it, a client of each kind, backends that push, and something that ends connections
// or the server, again and again. Afterwards the checker says what became of it.

const { setTimeout: pause } = require('node:timers/promises');
const { afterwards } = require('../afterwards');
const { relayTo } = require('../library/relay');
const { start } = require('../server');
const { until } = require('../waiting');
const { Backend } = require('./backend');
const { check, counted } = require('./checker');
const { LibraryClient } = require('./clients/library');
const { SocketIoClient } = require('./clients/socketio');
const { EventSourceClient, PageClient } = require('./clients/stream');
const { History, now } = require('./history');
const { randomOf } = require('./random');

const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']];
/** Every kind of client that promises to come back with everything. */
const KINDS = [
  ...['4.6', '4.8'].flatMap((version) => TRANSPORTS.map((transports) => ({ Client: SocketIoClient, options: { version, transports } }))),
  ...['websocket', 'sockjs'].map((transport) => ({ Client: LibraryClient, options: { transport } })),
  { Client: EventSourceClient, isStream: true },
];
const USERS = 4;
const EVERYBODY = 'all';
/** A pusher waits so long between two pushes. */
const PUSH_EVERY_MS = 4;
const PUSHERS = 2;
/** So many pushes are accepted before something ends, and after all are back. */
const PUSHES_AROUND = 25;

/** What the server needs for a run; `log` is what `store` adds to it. */
function config(log) {
  return {
    sse: { retry: '50ms', heartbeat: '500ms', query_credentials: true },
    recovery: { replay: 5000 },
    log,
  };
}

class Run {
  /** `log`: the section of the server's configuration; `{ store: 'memory' }` is how it is without one. */
  constructor(t, { log, seed = 1 }) {
    this.t = t;
    this.log = log;
    this.journal = new History();
    this.random = randomOf(seed);
    this.clients = [];
    this.numbers = 0;
    this.accepted = 0;
    this.changes = 0;
  }

  async open() {
    this.server = await start(this.t, config(this.log), { TURTED_DRAIN_TIMEOUT: '1s' });
    this.relay = await relayTo(this.t, this.server);
    this.record('listening');
    this.backend = new Backend(this.journal, 'backend', this.server.url);
    afterwards(this.t, () => this.backend.close());
    KINDS.forEach((kind, index) => this.add(kind, index));
    await Promise.all(this.clients.map((client) => this.introduce(client)));
    await this.reachAll();
  }

  /** An EventSource in a page of Chromium comes in as well. */
  async enter(page) {
    const who = `c${this.clients.length}`;
    const client = new PageClient(this.journal, who, { user: 'u0', channels: [EVERYBODY, 'ch0'] });
    this.enroll(client);
    await client.open(page, this.relay.url);
    await client.ready();
    await this.reachAll();
  }

  record(what) {
    this.journal.add({ at: now(), who: 'server', do: what });
  }

  add({ Client, options, isStream }, index) {
    const memberships = { user: `u${index % USERS}`, channels: [EVERYBODY, `ch${index}`] };
    const keeps = this.log.store === 'disk';
    const client = new Client(this.journal, `c${index}`, this.relay.url, isStream ? memberships : { keeps, ...options });
    client.memberships = memberships;
    this.enroll(client);
  }

  enroll(client) {
    this.clients.push(client);
    afterwards(this.t, () => client.close());
  }

  async introduce(client) {
    if (client.ready) return client.ready();
    await client.ident(client.memberships.user);
    for (const channel of client.memberships.channels) await client.join(channel);
    return client.settles();
  }

  /**
   * Every client that can becomes another user, joins a channel and leaves another one. What it was answered has to
   * outlive what ends right afterwards.
   */
  async change() {
    this.changes++;
    const [joined, left] = [this.changes % 2, (this.changes + 1) % 2].map((which) => `now and then ${which}`);
    const each = async (client, index) => {
      await client.ident(`u${(index + this.changes) % USERS}`);
      await client.join(joined);
      await client.leave(left);
    };
    await Promise.all(this.clients.map((client, index) => client.ready || each(client, index)));
  }

  /** A random event: for a user, channels, both, somebody else, or now and then for everyone. */
  event() {
    const { below, chance } = this.random;
    const n = this.numbers++;
    if (chance(0.02)) return { n, all: true };
    const users = chance(0.4) ? [`u${below(USERS + 1)}`] : [];
    const channels = users.length === 0 || chance(0.3) ? [this.channel()] : [];
    return { n, users, channels };
  }

  channel() {
    const { below, one } = this.random;
    return one([EVERYBODY, `now and then ${below(2)}`, `ch${below(KINDS.length + 1)}`, `ch${below(KINDS.length + 1)}`]);
  }

  async push() {
    const events = Array.from({ length: this.random.chance(0.1) ? 3 : 1 }, () => this.event());
    // A key of before a start is known after it only if it is on disk.
    if (this.log.store === 'disk' && this.random.chance(0.5)) await this.backend.pushUntilAccepted(events);
    else if ((await this.backend.push(events)) !== 200) return;
    this.accepted++;
  }

  someAccepted() {
    const enough = this.accepted + PUSHES_AROUND;
    return until(() => this.accepted >= enough, 'accepted pushes', 30_000);
  }

  /** Pushes until `action` is done. */
  async whilePushing(action) {
    let isOver = false;
    const pushers = Array.from({ length: PUSHERS }, async () => {
      while (!isOver) {
        await this.push();
        await pause(PUSH_EVERY_MS);
      }
    });
    try {
      return await action();
    } finally {
      isOver = true;
      await Promise.all(pushers);
    }
  }

  /** Waits until an event for everyone has reached all clients. Everything before it has then arrived as well. */
  async reachAll() {
    const n = this.numbers++;
    await this.backend.pushUntilAccepted([{ n, all: true }]);
    await Promise.all(this.clients.map((client) => client.hears(n)));
  }

  /** Does something after which every client has to come back, and waits until all of them are reached again. */
  async disturb(end, { isQuiet = false } = {}) {
    const returns = this.clients.map((client) => client.returns + 1);
    const allBack = () => Promise.all(this.clients.map((client, index) => client.comesBack(returns[index])));
    if (isQuiet) {
      await this.change();
      await end(this);
      await allBack();
    } else {
      await this.whilePushing(async () => {
        await this.someAccepted();
        await this.change();
        await end(this);
        await allBack();
        await this.someAccepted();
      });
    }
    await this.reachAll();
    await Promise.all(this.clients.map((client) => client.settles()));
  }

  /** What the checker finds, and how many clients were told a gap. */
  verdict() {
    const { findings, figures } = check(this.journal, this.log.store);
    return { findings, counts: counted(findings), figures };
  }
}

module.exports = { KINDS, Run };
