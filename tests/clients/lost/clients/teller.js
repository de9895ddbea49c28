'use strict';
// What every client of a run has in common: it tells the journal what it asks, is told and receives.

const { now } = require('../history');
const { until } = require('../../waiting');

const WAIT_MS_MAX = 60_000;
/** Events with such numbers reach everybody: a run waits for them. */
const MARKS = 10 ** 9;

class Teller {
  constructor(journal, who, kind) {
    this.journal = journal;
    this.who = who;
    this.kind = kind;
    this.askCount = 0;
    this.heard = new Set();
    this.mark = 0;
    this.events = 0;
    this.returns = 0;
    this.isConnected = false;
    this.tell({ do: 'open', kind });
  }

  tell(record) {
    if (this.isEnded) return;
    this.journal.add({ at: now(), who: this.who, ...record });
  }

  /** The run is over for this client: what follows is no loss. */
  end() {
    this.tell({ do: 'closed' });
    this.isEnded = true;
  }

  /** The client asks for something. Returns what it has to call with the answer. */
  asking(what, name) {
    const request = { id: ++this.askCount, what, name };
    this.tell({ do: 'ask', ...request });
    return (ok) => this.tell({ do: 'told', ...request, ok });
  }

  connected(told) {
    if (told !== 'new') this.returns++;
    this.isConnected = true;
    this.tell({ do: 'connected', told });
  }

  lost() {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.tell({ do: 'lost' });
  }

  /** An event of a backend: its payload is its number. */
  received(n, via, p) {
    this.events++;
    if (n >= MARKS) this.mark = n;
    this.heard?.add(n);
    this.tell({ do: 'event', n, p, via: targetOf(via) });
  }

  /** Waits until the client has received the event with this number. */
  hears(n) {
    return until(() => this.heard.has(n), () => `event ${n} at ${this.kind} ${this.who}, which ${this.isConnected ? 'is connected' : 'is away'}`, WAIT_MS_MAX);
  }

  /** Waits until the client has come back this often. */
  comesBack(returns) {
    return until(() => this.isConnected && this.returns >= returns, () => `the return of ${this.kind} ${this.who}`, WAIT_MS_MAX);
  }

  /** Waits until the transport no longer changes. */
  async settles() {}
}

function targetOf(via) {
  if (!via) return undefined;
  if (via.user !== undefined) return `user ${via.user}`;
  return via.channel === undefined ? '*' : `channel ${via.channel}`;
}

module.exports = { MARKS, Teller };
