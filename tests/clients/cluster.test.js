'use strict';
// Every client over every transport where there are three servers, and each request goes to the next one in turn. The whole
// scenario against them: `just scenario-cluster`.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { CLIENTS } = require('./everywhere');
const { proxyTo } = require('./proxy');
const { startCluster } = require('./cluster');

const LIMITS = { timeout: 60_000 };
const PUSHES = 12;
const MISSED = 6;

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

/** As much of a test as `startCluster` needs, for all tests of this file. */
const all = { after: (action) => (all.action = action) };
let cluster;
before(async () => {
  cluster = await startCluster(all, { sse: { retry: '20ms' } });
});
after(() => all.action?.());

for (const [index, client] of CLIENTS.entries()) {
  const [user, channel] = [`adam${index}`, `chat${index}`];

  describe(client.title, () => {
    test('is served by all servers in turn', LIMITS, async (t) => {
      const tab = client.open(t, cluster.url);
      await tab.ident(user);
      await tab.join(channel);
      await tab.settled();
      for (const number of numbers(PUSHES)) {
        await cluster.emit('E', number % 2 ? { users: [user] } : { channels: [channel] }, number);
      }
      await cluster.emit('END', { channels: [channel] });
      await tab.event('END');
      assert.deepEqual(tab.events.slice(0, -1).map(({ payload }) => payload), numbers(PUSHES));
      if (client.speaks) await tab.echo({ channel });
    });

    test('is back at any server with all its client keeps', LIMITS, async (t) => {
      const proxy = await proxyTo(t, cluster);
      const tab = client.open(t, proxy.url);
      await tab.ident(user);
      await tab.join(channel);
      await tab.settled();
      await cluster.emit('FIRST', { users: [user] });
      await tab.event('FIRST');
      const gone = tab.gone();
      proxy.drop();
      const back = await gone;
      for (const number of numbers(MISSED)) await cluster.emit('MISSED', { channels: [channel] }, number);
      proxy.restore();
      await back();
      const last = { everything: { channels: [channel] }, user: { users: [user] }, nothing: { broadcast: true } }[client.keeps];
      await cluster.emit('LAST', last);
      await tab.event('LAST');
      const missed = client.keeps === 'everything' ? numbers(MISSED) : [];
      const heard = tab.events.filter(({ event }) => event === 'MISSED');
      assert.deepEqual(heard.map(({ payload }) => payload), missed);
    });
  });
}
