'use strict';
// A correct history, made by a model of a server: it numbers, delivers, replays and tells gaps as it should, while
// requests overlap, connections break and the server is killed. `faults.js` spoils it in one place each.

const { channel, EVERYONE, user } = require('./memberships');
const { randomOf } = require('./random');

const KINDS = ['socketio', 'v1', 'sse'];
const ROUND_MS = 100;
const REPLAY_MAX = 12;
const USERS = 20;
const CHANNELS = 10;
const PUSHES_A_ROUND = 12;

class ModelClient {
  constructor(world, index) {
    this.world = world;
    this.who = `c${index}`;
    this.kind = KINDS[index % KINDS.length];
    this.wanted = new Set([channel(`ch${index % CHANNELS}`)]);
    this.targets = new Set([EVERYONE]);
    this.isConnected = false;
    /** What the server has for this client and the client has not received, in order. */
    this.owed = [];
    this.asks = 0;
    this.connection = 0;
  }

  tell(at, record) {
    this.world.records.push({ at, who: this.who, ...record });
  }

  receive(dispatch, at) {
    const via = dispatch.targets.find((target) => dispatch.membersBy.get(this)?.includes(target));
    this.tell(at, { do: 'event', n: dispatch.n, p: dispatch.position, via });
    this.owed.shift();
  }

  /** What was sent is received, up to this time. */
  flush(at) {
    while (this.isConnected && this.owed.length > 0 && this.owed[0].at <= at) this.receive(this.owed[0].dispatch, this.owed[0].at);
  }

  lose(at) {
    if (!this.isConnected) return;
    this.flush(at);
    this.isConnected = false;
    this.tell(at, { do: 'lost' });
  }

  open(at) {
    this.tell(at, { do: 'open', kind: this.kind });
    this.isConnected = true;
    this.tell(at + 1, { do: 'connected', told: 'new' });
  }

  back(at) {
    this.connection++;
    const missed = this.owed.length;
    const isGap = missed > REPLAY_MAX;
    this.isConnected = true;
    if (this.kind === 'sse') this.tell(at, { do: 'connected', told: 'unknown' });
    else if (!isGap) this.tell(at, { do: 'connected', told: 'recovered' });
    else this.tell(at, { do: 'connected', told: this.kind === 'v1' ? 'gap-new' : 'gap-kept' });
    if (isGap) this.owed = [];
    if (isGap && this.kind === 'sse') this.tell(at + 0.1, { do: 'gap' });
    if (isGap && this.kind === 'v1') this.targets = new Set([EVERYONE]);
    this.owed.forEach((owed, index) => (owed.at = at + 0.2 + index / 1000));
    this.flush(at + 1);
  }

  /** What it wants and is not a member of. */
  lacking() {
    return [...this.wanted].filter((target) => !this.targets.has(target));
  }
}

class World {
  constructor(seed, clients) {
    this.random = randomOf(seed);
    this.records = [];
    this.clients = Array.from({ length: clients }, (_, index) => new ModelClient(this, index));
    this.time = 0;
    this.last = 0;
    this.epoch = 1;
    this.pushes = 0;
    this.numbers = 0;
    this.dispatches = [];
  }

  /** So many times of this round, in order. */
  times(count) {
    return Array.from({ length: count }, () => this.time + this.random.below(ROUND_MS * 1000) / 1000).sort((a, b) => a - b);
  }

  targets() {
    if (this.random.chance(0.01)) return { all: true };
    const { below, chance } = this.random;
    const users = chance(0.5) ? [`u${below(USERS)}`] : [];
    const channels = users.length === 0 || chance(0.3) ? [`ch${below(CHANNELS)}`] : [];
    return { users, channels };
  }

  /** The steps of a push: each `[time, action]`. `fate.end` is when the server dies in this round. */
  push(fate) {
    const { chance, below } = this.random;
    const name = `p${this.pushes++}`;
    const key = chance(0.3) ? name : undefined;
    const events = Array.from({ length: chance(0.1) ? 2 + below(4) : 1 }, () => ({ n: this.numbers++, ...this.targets() }));
    const [asked, done, answered, again, last] = this.times(5);
    const isRefused = chance(0.02);
    const isHeard = answered < fate.end && !chance(0.05);
    const tell = (at, record) => [at, () => this.records.push({ at, who: 'b', push: name, ...record })];
    if (isRefused) return [tell(asked, { do: 'push', key, events }), tell(answered, { do: 'answer', status: 503 })];
    if (asked > fate.end) return [];
    const positions = [];
    const steps = [tell(asked, { do: 'push', key, events })];
    const accept = (at) => [at, () => positions.push(...this.accept(events, at))];
    if (done < fate.end) steps.push(accept(done));
    if (isHeard) return [...steps, tell(answered, { do: 'answer', status: 200, positions })];
    steps.push(tell(answered, { do: 'broken' }));
    if (!key || last > fate.end || done > fate.end) return steps;
    return [...steps, tell(again, { do: 'push', key, events }), tell(last, { do: 'answer', status: 200, positions })];
  }

  accept(events, at) {
    return events.map(({ n, users = [], channels = [], all }) => {
      const targets = [...users.map(user), ...channels.map(channel), ...(all ? [EVERYONE] : [])];
      const dispatch = { n, targets, position: `${this.epoch.toString(16)}-${++this.last}`, membersBy: new Map() };
      for (const client of this.clients) {
        const mine = targets.filter((target) => client.targets.has(target));
        if (mine.length === 0) continue;
        dispatch.membersBy.set(client, mine);
        const lag = Math.max(at + this.random.below(3000) / 1000, client.owed.at(-1)?.at ?? 0);
        client.owed.push({ dispatch, at: lag });
      }
      this.dispatches.push(dispatch);
      return dispatch.position;
    });
  }

  /** The steps by which a client changes what it is. */
  change(client, what, name) {
    const [asked, done, told] = this.times(3);
    const id = ++client.asks;
    const request = { id, what, name };
    let connection;
    const isOn = () => client.isConnected && client.connection === connection;
    let isDone = false;
    const tell = (at, record) => {
      client.flush(at);
      client.tell(at, { ...request, ...record });
    };
    return [
      [asked, () => {
        connection = client.connection;
        if (isOn()) tell(asked, { do: 'ask' });
      }],
      [done, () => (isDone = isOn()) && this.changed(client, what, name)],
      [told, () => isDone && isOn() && tell(told, { do: 'told', ok: true })],
    ];
  }

  changed(client, what, name) {
    if (what === 'leave') return client.targets.delete(channel(name));
    if (what === 'join') return client.targets.add(channel(name));
    for (const target of [...client.targets]) if (target.startsWith('user ')) client.targets.delete(target);
    return client.targets.add(user(name));
  }

  changes() {
    const { below, chance } = this.random;
    return this.clients.filter((client) => client.isConnected).flatMap((client) => {
      const hasUser = [...client.targets].some((target) => target.startsWith('user '));
      if (!hasUser || chance(0.01)) return this.change(client, 'ident', `u${below(USERS)}`);
      const [lacking] = client.lacking();
      if (lacking) return this.change(client, 'join', lacking.slice('channel '.length));
      if (chance(0.02)) return this.change(client, 'leave', [...client.targets].find((target) => target.startsWith('channel '))?.slice('channel '.length) || 'none');
      if (chance(0.02)) client.wanted.add(channel(`ch${below(CHANNELS)}`));
      return [];
    });
  }

  cuts() {
    const { chance } = this.random;
    return this.clients.flatMap((client) => {
      const [at] = this.times(1);
      if (!client.isConnected && chance(0.3)) return [[at, () => client.back(at)]];
      return client.isConnected && chance(0.02) ? [[at, () => client.lose(at)]] : [];
    });
  }

  kill(at) {
    this.records.push({ at, do: 'killed', who: 's' });
    for (const client of this.clients) client.lose(at);
  }

  round(isKilled) {
    const fate = { end: isKilled ? this.times(1)[0] : Infinity };
    const pushes = Array.from({ length: PUSHES_A_ROUND }, () => this.push(fate)).flat();
    const steps = [...pushes, ...this.changes(), ...this.cuts().filter(([at]) => at < fate.end)];
    if (isKilled) steps.push([fate.end, () => this.kill(fate.end)]);
    for (const [, action] of steps.sort((a, b) => a[0] - b[0])) action();
    this.time += ROUND_MS + 10;
    for (const client of this.clients) client.flush(this.time);
    if (isKilled) this.start();
  }

  start() {
    this.epoch++;
    this.records.push({ at: this.time, do: 'listening', who: 's' });
  }

  /** All come back, and a last event reaches everybody. */
  finish() {
    for (const client of this.clients) if (!client.isConnected) client.back(this.time);
    this.time += ROUND_MS;
    for (const client of this.clients) client.flush(this.time);
    const positions = [];
    const events = [{ n: this.numbers++, all: true }];
    this.records.push({ at: this.time, who: 'b', do: 'push', push: 'end', events });
    positions.push(...this.accept(events, this.time + 1));
    this.records.push({ at: this.time + 2, who: 'b', do: 'answer', push: 'end', status: 200, positions });
    for (const client of this.clients) client.flush(Infinity);
  }
}

/** The records of a correct run. */
function generate({ seed = 1, clients = 60, rounds = 100, killEvery = 40 } = {}) {
  const world = new World(seed, clients);
  world.start();
  for (const client of world.clients) client.open(world.time);
  world.time += ROUND_MS;
  for (let round = 1; round <= rounds; round++) world.round(round % killEvery === 0);
  world.finish();
  return world.records;
}

module.exports = { generate };
