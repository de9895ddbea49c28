'use strict';
// What happened in a run, as backends, clients and servers tell it: one record each, a line of JSON in a file. Records
// of one teller are in order; those of several have only their times, of the one clock of the machine.
//
// | record | members |
// |---|---|
// | all | `at`: milliseconds; `do`; `who`: the client or the backend |
// | backend: `push` | `push`: its name, the same for each attempt; `key` or none; `events`: `{ n, users, channels, all }` |
// | backend: `answer`, `broken` | `push`; `status`; `positions`, one for each event; `maybe`: refused, and may come nevertheless |
// | client: `open` | `kind` |
// | client: `connected` | `told`: `new`, `recovered`, `gap-kept` (its memberships go on), `gap-new` (they do not), `gap-later` (a gap will be told, maybe after further losses), `unknown` (a gap would be told at once) |
// | client: `gap`, `lost`, `closed` | |
// | client: `ask`, `told` | `id`; `what`: `ident`, `join`, `leave`; `name`; `ok` |
// | client: `event` | `n`; `p`: its position; `via`: the target |
// | server: `listening`, `killed`, `stopped`, `paused`, `continued` | |

const { channel, EVERYONE, user } = require('./memberships');

const SERVER_RECORDS = new Set(['listening', 'killed', 'stopped', 'paused', 'continued']);

/** The clock of all processes of the machine, in milliseconds. */
function now() {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

function targetsOf({ users = [], channels = [], all = false }) {
  const targets = [...users.map(user), ...channels.map(channel)];
  return all ? [...targets, EVERYONE] : targets;
}

/** What one client told. Events lie in columns, because there are millions. */
class ClientHistory {
  constructor(who) {
    this.who = who;
    this.kind = '';
    /** All but events, each with `after`: how many events had come before. */
    this.steps = [];
    this.numbers = [];
    this.positions = [];
    this.times = [];
    this.vias = [];
  }

  add(record) {
    if (record.do === 'open') this.kind = record.kind;
    this.steps.push({ ...record, after: this.numbers.length });
  }

  received({ n, at }, position, via) {
    this.numbers.push(n);
    this.positions.push(position);
    this.times.push(at);
    this.vias.push(via);
  }
}

class History {
  constructor() {
    this.clients = new Map();
    this.pushes = new Map();
    /** By number: `{ n, index, push, targets }`. */
    this.dispatches = new Map();
    this.servers = [];
    /** Each text once: a position comes to many clients. */
    this.texts = new Map();
  }

  static of(records) {
    const history = new History();
    for (const record of records) history.add(record);
    return history;
  }

  add(record) {
    if (SERVER_RECORDS.has(record.do)) this.servers.push(record);
    else if (record.do === 'push') this.pushed(record);
    else if (record.do === 'answer') this.answered(record);
    else if (record.do === 'event') this.client(record.who).received(record, this.once(record.p), this.once(record.via));
    else if (record.do !== 'broken') this.client(record.who).add(record);
  }

  once(text) {
    if (text === undefined) return undefined;
    if (!this.texts.has(text)) this.texts.set(text, text);
    return this.texts.get(text);
  }

  client(who) {
    if (!this.clients.has(who)) this.clients.set(who, new ClientHistory(who));
    return this.clients.get(who);
  }

  push(name) {
    if (!this.pushes.has(name)) {
      this.pushes.set(name, { name, begun: Infinity, ended: Infinity, answers: [], attempts: 0, refusals: 0, numbers: [] });
    }
    return this.pushes.get(name);
  }

  pushed({ push: name, at, events }) {
    const push = this.push(name);
    push.begun = Math.min(push.begun, at);
    push.attempts++;
    events.forEach((event, index) => {
      if (this.dispatches.has(event.n)) return;
      push.numbers.push(event.n);
      this.dispatches.set(event.n, { n: event.n, index, push, targets: targetsOf(event), position: undefined });
    });
  }

  answered({ push: name, at, status, positions, maybe }) {
    const push = this.push(name);
    if (status === 200) {
      push.ended = Math.min(push.ended, at);
      push.answers.push(positions);
    } else if (!maybe) {
      push.refusals++;
    }
  }
}

module.exports = { History, now };
