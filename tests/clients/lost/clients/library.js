'use strict';
// The client library of `clients/js`: turted.v1 over a WebSocket or SockJS. After a gap it identifies itself and joins
// its channels again before it tells of the gap, so for its user the memberships go on.

const WebSocket = require('ws');
const { TURTED } = require('../../../../clients/js/dist/turted.cjs');
const { Teller } = require('./teller');

const EAGER = { min: 50, max: 500 };

class LibraryClient extends Teller {
  constructor(journal, who, url, { transport, retry = EAGER }) {
    super(journal, who, `turted.v1 over ${transport}`);
    this.turted = new TURTED(url, { WebSocket, transports: [transport], retry });
    this.turted.on('*', (payload, { via, cursor }) => this.received(payload, via, cursor));
    this.turted.onState((state) => this.became(state));
    this.turted.onGap(() => this.tell({ do: 'gap' }));
    this.turted.onError(() => {});
  }

  became(state) {
    if (state !== 'connected') return this.lost();
    if (this.isConnected) return undefined;
    const again = this.turted.recovered ? 'recovered' : 'gap-later';
    const told = this.wasConnected ? again : 'new';
    this.wasConnected = true;
    return this.connected(told);
  }

  async asks(what, name, send) {
    const answered = this.asking(what, name);
    await send();
    answered(true);
  }

  ident(username) {
    return this.asks('ident', username, () => this.turted.ident({ username }));
  }

  join(channel) {
    return this.asks('join', channel, () => this.turted.join(channel));
  }

  leave(channel) {
    return this.asks('leave', channel, () => this.turted.leave(channel));
  }

  close() {
    this.end();
    this.turted.close();
  }
}

module.exports = { LibraryClient };
