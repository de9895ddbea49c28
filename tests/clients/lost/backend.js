'use strict';
// A backend that tells the journal what it pushes and what it is answered. With a key it pushes again after every broken
// answer; without one it never does, because it cannot know whether the push was accepted.

const http = require('node:http');
const { setTimeout: pause } = require('node:timers/promises');
const { request } = require('../http');
const { now } = require('./history');

const AGAIN_MS = 20;
/** Refusals that pass: a key whose first push is being answered, an overload, a stop. */
const PASSING = new Set([409, 429, 503]);

class Backend {
  constructor(journal, who, url) {
    this.journal = journal;
    this.who = who;
    this.url = url;
    this.count = 0;
    this.isClosed = false;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  }

  tell(record) {
    this.journal.add({ at: now(), who: this.who, ...record });
  }

  /** Pushes these events once; resolves with the status, or 0 if no answer came. */
  async attempt(push, key, events) {
    this.tell({ do: 'push', push, key, events });
    try {
      const answer = await request(`${this.url}/push/`, { method: 'POST', agent: this.agent, body: bodyOf(events), headers: headersOf(key) });
      const positions = answer.status === 200 ? [JSON.parse(answer.body)].flat().map(({ id }) => id) : undefined;
      this.tell({ do: 'answer', push, status: answer.status, positions, maybe: /may still/.test(answer.body) });
      return answer.status;
    } catch {
      this.tell({ do: 'broken', push });
      return 0;
    }
  }

  /** Pushes these events as one. */
  push(events) {
    return this.attempt(`${this.who}-${this.count++}`, undefined, events);
  }

  /** Pushes them with a key until they are accepted. Resolves with the number of attempts. */
  async pushUntilAccepted(events) {
    const name = `${this.who}-${this.count++}`;
    for (let attempts = 1; ; attempts++) {
      const status = await this.attempt(name, name, events);
      if (status === 200) return attempts;
      if (status !== 0 && !PASSING.has(status)) throw new Error(`the server refused ${name} with ${status}`);
      // A run that has failed must end, although its server answers nobody any more.
      if (this.isClosed) throw new Error(`${name} was not accepted before the backend was closed`);
      await pause(AGAIN_MS);
    }
  }

  close() {
    this.isClosed = true;
    this.agent.destroy();
  }
}

function headersOf(key) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
  return key ? { ...headers, 'Idempotency-Key': key } : headers;
}

/** The payload of an event is its number. */
function bodyOf(events) {
  const bodies = events.map(({ n, users = [], channels = [], all = false }) => ({ event: 'N', targets: { users, channels, broadcast: all }, payload: n }));
  return JSON.stringify(bodies.length === 1 ? bodies[0] : bodies);
}

module.exports = { Backend };
