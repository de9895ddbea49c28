'use strict';
// A light client, whatever it speaks: it comes back when its connection ends, asks again what was not answered, and
// changes its channels now and then.

const { Teller } = require('../clients/teller');

/** Clients of a server that was killed come back within this time. */
const RETRY_MS = [300, 1500];
/** A server that is stopped accepts connections and says nothing. */
const HANDSHAKE_MS_MAX = 10_000;
/** A connection on which nothing came for so long is dead: more than any heartbeat, and than a stop of 40 s. */
const SILENCE_MS_MAX = 75_000;
const ABANDONED_MS = 5000;

class LightClient extends Teller {
  constructor(journal, who, kind, { port, user, channels, random }) {
    super(journal, who, kind);
    this.heard = null;
    this.port = port;
    this.random = random;
    this.user = user;
    /** What the client wants to be in, by channel: true, or false after a LEAVE. */
    this.wanted = new Map(channels.map((channel) => [channel, true]));
    this.waiting = [];
    this.isClosed = false;
    this.isReady = false;
    this.unanswered = [];
  }

  start() {
    if (this.isClosed) return;
    this.openedAt = Date.now();
    this.wire = this.connect({ onopen: () => this.opened(), onend: () => this.ended() });
  }

  opened() {}

  ended() {
    this.lost();
    this.isReady = false;
    // Nothing of this is answered any more. What was done is not known, so it is asked again.
    this.unanswered = [...this.unanswered, ...this.waiting.map(({ request }) => request)];
    this.waiting = [];
    const [least, most] = RETRY_MS;
    if (!this.isClosed) setTimeout(() => this.start(), least + this.random.below(most - least));
  }

  /** Takes a connection for dead that says nothing. */
  look(at) {
    if (this.isClosed) return;
    const isLate = this.isConnected ? at - this.wire.seenAt > SILENCE_MS_MAX : at - this.openedAt > HANDSHAKE_MS_MAX;
    if (isLate && !this.wire.socket.destroyed) this.wire.destroy();
  }

  cut() {
    if (!this.isReady) return;
    if (this.random.chance(0.3)) this.wire.abandon(ABANDONED_MS);
    else this.wire.destroy();
  }

  /** Asks for this; the answers come in the order of the requests. */
  ask(what, name) {
    this.waiting.push({ request: [what, name], answered: this.asking(what, name) });
    this.sendRequest(what, name);
  }

  answer(ok) {
    this.waiting.shift()?.answered(ok);
    if (this.waiting.length === 0) this.isReady = true;
  }

  /** The client is who it was: it asks again what was not answered. */
  resumed() {
    const requests = this.unanswered;
    this.unanswered = [];
    if (requests.length === 0) this.isReady = true;
    for (const [what, name] of requests) this.ask(what, name);
  }

  /** The client is nobody: it says who it is and joins its channels. */
  introduce() {
    this.unanswered = [];
    this.ask('ident', this.user);
    for (const [channel, isIn] of this.wanted) if (isIn) this.ask('join', channel);
  }

  /** Leaves a channel, or joins one that it has left. */
  change() {
    if (!this.isReady || this.waiting.length > 0 || this.wanted.size < 2) return;
    const channel = this.random.one([...this.wanted.keys()].slice(1));
    const isIn = !this.wanted.get(channel);
    this.wanted.set(channel, isIn);
    this.ask(isIn ? 'join' : 'leave', channel);
  }

  close() {
    this.end();
    this.isClosed = true;
    this.wire.destroy();
  }
}

module.exports = { LightClient };
