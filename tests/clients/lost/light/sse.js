'use strict';
// A light event stream. Its request says user and channels, so it never asks for anything else.

const { LightClient } = require('./client');
const { LightStream } = require('./wire');

class LightSse extends LightClient {
  constructor(journal, who, options) {
    super(journal, who, 'light event stream', options);
  }

  connect(on) {
    const query = new URLSearchParams({ envelope: '1', user: this.user });
    for (const channel of this.wanted.keys()) query.append('channel', channel);
    const last = this.position ? `Last-Event-ID: ${this.position}\r\n` : '';
    this.answers ??= [this.asking('ident', this.user), ...[...this.wanted.keys()].map((channel) => this.asking('join', channel))];
    return new LightStream(this.port, `/sse?${query}`, last, { ...on, onevent: (event) => this.event(event) });
  }

  /** A stream that resumes and has missed nothing has no position before its first event. */
  opened() {
    if (this.position) this.begin();
  }

  /** The first stream has begun when it has a position: that of a server that stops has none. */
  begin() {
    if (this.isConnected) return;
    this.connected(this.answers.length > 0 ? 'new' : 'unknown');
    for (const answer of this.answers.splice(0)) answer(true);
    this.isReady = true;
  }

  event({ id, event, data }) {
    if (id) {
      this.begin();
      this.position = id;
    }
    if (event === 'turted:gap') return this.tell({ do: 'gap' });
    if (!data) return undefined;
    const { payload, via } = JSON.parse(data);
    return this.received(payload, via, id);
  }

  change() {}
}

module.exports = { LightSse };
