'use strict';
// A process with a share of the clients of a soak: light ones, and some real libraries among them. Its parent says when to
// cut connections and when to end; it says each second how its clients are.

const net = require('node:net');
const { once } = require('node:events');
const { setTimeout: pause } = require('node:timers/promises');
const { LibraryClient } = require('../clients/library');
const { SocketIoClient } = require('../clients/socketio');
const { EventSourceClient } = require('../clients/stream');
const { LightSocketIo } = require('../light/socketio');
const { LightSse } = require('../light/sse');
const { LightV1 } = require('../light/v1');
const { randomOf } = require('../random');
const { Relay } = require('../../library/relay');
const { Lines } = require('./lines');
const { membershipsOf } = require('./targets');

const REPORT_EVERY_MS = 1000;
const DISTURB_EVERY_MS = 100;
/** So many clients are named that are away or behind. */
const LATE_NAMED = 5;
/** New connections a second. */
const OPENED_A_SECOND = 500;
/** A relay with the real clients is cut this often. */
const RELAY_CUT_EVERY_MS = 20_000;

/** One of ten in turn. */
const LIGHT = [LightV1, LightSocketIo, LightSse, LightV1, LightSocketIo, LightSocketIo, LightV1, LightSse, LightV1, LightV1];
const SOCKJS_AT = 9;

const RETRY = { reconnectionDelay: 500, reconnectionDelayMax: 2000 };
const REAL = [
  (journal, who, url, { keeps }) => new SocketIoClient(journal, who, url, { version: '4.6', transports: ['websocket'], keeps, retry: RETRY }),
  (journal, who, url, { keeps }) => new SocketIoClient(journal, who, url, { version: '4.8', transports: ['websocket'], keeps, retry: RETRY }),
  (journal, who, url, { keeps }) => new SocketIoClient(journal, who, url, { version: '4.8', transports: ['polling'], keeps, retry: RETRY }),
  (journal, who, url) => new LibraryClient(journal, who, url, { transport: 'websocket', retry: { min: 500, max: 2000 } }),
  (journal, who, url) => new LibraryClient(journal, who, url, { transport: 'sockjs', retry: { min: 500, max: 2000 } }),
  (journal, who, url, memberships) => new EventSourceClient(journal, who, url, memberships),
];

class Crowd {
  /** `from`, `to`: the numbers of its clients; the first `real` of them are real libraries. */
  constructor(order) {
    Object.assign(this, order);
    this.journal = new Lines(order.file);
    this.random = randomOf(order.from + 1);
    this.clients = [];
    this.light = [];
  }

  async open() {
    this.relay = new Relay(this.port);
    this.relay.listener.listen(0, '127.0.0.1');
    await once(this.relay.listener, 'listening');
    for (let number = this.from; number < this.to; number++) {
      if (number - this.from < this.real) this.addReal(number);
      else this.addLight(number);
      await pause(1000 / OPENED_A_SECOND);
    }
  }

  addReal(number) {
    const make = REAL[number % REAL.length];
    const memberships = membershipsOf(number, this.count);
    const client = make(this.journal, `c${number}`, this.relay.url, { ...memberships, keeps: this.keeps });
    this.clients.push(client);
    if (!client.ready) this.introduce(client, memberships).catch((error) => process.send({ error: error.message }));
  }

  async introduce(client, { user, channels }) {
    await client.ident(user);
    for (const channel of channels) await client.join(channel);
  }

  addLight(number) {
    const Light = LIGHT[number % LIGHT.length];
    const { port, random, keeps, count } = this;
    const options = { ...membershipsOf(number, count), port, random, keeps, isSockJs: number % LIGHT.length === SOCKJS_AT };
    const client = new Light(this.journal, `c${number}`, options);
    client.start();
    this.clients.push(client);
    this.light.push(client);
  }

  /** Cuts light clients at random, each once in `cutEverySeconds`, and lets as many change a channel. */
  disturb() {
    const each = (this.light.length / this.cutEverySeconds) * (DISTURB_EVERY_MS / 1000);
    const count = Math.floor(each) + (this.random.chance(each % 1) ? 1 : 0);
    for (let cut = 0; cut < count; cut++) {
      this.random.one(this.light).cut();
      this.random.one(this.light).change();
    }
    const at = Date.now();
    for (const client of this.light) client.look(at);
  }

  report() {
    const mark = this.clients.reduce((highest, client) => Math.max(highest, client.mark), 0);
    const isLate = (client) => client.mark !== mark || !client.isConnected;
    const count = (condition) => this.clients.filter(condition).length;
    process.send({
      clients: this.clients.length,
      connected: count((client) => client.isConnected),
      mark,
      marked: count((client) => client.mark === mark),
      late: this.clients.filter(isLate).slice(0, LATE_NAMED).map(({ kind, who, isConnected }) => `${kind} ${who}${isConnected ? '' : ' (away)'}`),
      events: this.clients.reduce((sum, client) => sum + client.events, 0),
    });
  }

  begin() {
    this.timers = [setInterval(() => this.disturb(), DISTURB_EVERY_MS), setInterval(() => this.relay.cut(), RELAY_CUT_EVERY_MS)];
  }

  calm() {
    for (const timer of this.timers || []) clearInterval(timer);
    // Silent connections are still looked for.
    this.timers = [setInterval(() => this.light.forEach((client) => client.look(Date.now())), REPORT_EVERY_MS)];
  }

  close() {
    this.calm();
    for (const client of this.clients) client.close();
    this.journal.close();
    process.exit(0);
  }
}

net.setDefaultAutoSelectFamily(false);
let crowd;
process.on('message', async ({ do: what, ...order }) => {
  if (what === 'open') {
    crowd = new Crowd(order);
    setInterval(() => crowd.report(), REPORT_EVERY_MS);
    await crowd.open();
  } else {
    crowd[what]();
  }
});
process.on('disconnect', () => process.exit(1));
