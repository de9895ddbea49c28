'use strict';
// What only clients of turted.v1 do, over a WebSocket and over each transport of SockJS.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { request } = require('./http');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { SOCKJS_TRANSPORTS, openSockJsV1 } = require('./sockjs');
const { untilDoing } = require('./waiting');
const { openWebSocket } = require('./websocket');

const LIMITS = { timeout: 30_000 };
/** A log that forgets soon. */
const FORGETFUL = { recovery: { log_dispatches: 3 } };

const WAYS = [
  { title: 'a WebSocket', open: openWebSocket },
  ...SOCKJS_TRANSPORTS.map((transport) => ({
    title: `SockJS by ${transport}`,
    open: (t, url) => openSockJsV1(t, url, transport),
  })),
];

/** Cuts the connection, does `meanwhile` while the client is away, and waits until it is back. */
async function away(tab, proxy, meanwhile) {
  proxy.drop();
  const back = await tab.gone();
  await meanwhile();
  proxy.restore();
  await back();
}

for (const { title, open } of WAYS) {
  describe(`a client of turted.v1 over ${title}`, { concurrency: true }, () => {
    test('in a quiet channel resumes from a ping after many events for others', LIMITS, async (t) => {
      for (const pings of [true, false]) {
        const server = await start(t, FORGETFUL);
        const proxy = await proxyTo(t, server);
        const tab = open(t, proxy.url);
        await tab.join('quiet');
        for (let number = 0; number < 9; number++) await server.emit('OTHER', { channels: ['busy'] }, number);
        // The push is answered before the worker of the client has seen it.
        const isLast = () => /-9$/.test(tab.client.cursor);
        if (pings) await untilDoing(isLast, () => tab.client.ping(), 'the last position');
        await away(tab, proxy, () => server.emit('MISSED', { channels: ['quiet'] }));
        assert.equal(tab.client.resumed, pings ? 1 : 0, pings ? 'resumed' : 'begun anew');
        await server.emit('LAST', { channels: ['quiet'] });
        await tab.event('LAST');
        const received = tab.events.map(({ event }) => event);
        assert.deepEqual(received, pings ? ['MISSED', 'LAST'] : ['LAST']);
      }
    });

    test('joins its channels at once, and hears of each that is refused', LIMITS, async (t) => {
      const server = await start(t, { limits: { channels_per_connection: 2 } });
      const tab = open(t, server.url);
      const reply = await tab.client.request({ do: 'join', channels: ['a', '', 'b', 'c'] });
      assert.deepEqual([reply.ok, reply.channels], [true, ['a', 'b']]);
      const refused = reply.refused.map(({ channel, error }) => [channel, error.code]);
      assert.deepEqual(refused, [
        ['', 'channel-missing'],
        ['c', 'too-many-channels'],
      ]);
      await server.emit('NEWS', { channels: ['b'] });
      assert.deepEqual((await tab.event('NEWS')).via, { channel: 'b' });
    });

    test('knows its connection by the name of the admin API, also after it came back', LIMITS, async (t) => {
      const server = await start(t, {}, { TURTED_ADMIN_LISTEN: '127.0.0.1:0' });
      const [, admin] = /admin on (http:\/\/[^\s]+)/.exec(server.output);
      const shown = async (name) => {
        const { status, body } = await request(`${admin}/api/v1/connections/${name}`);
        return status === 200 ? JSON.parse(body).channels : status;
      };
      const proxy = await proxyTo(t, server);
      const tab = open(t, proxy.url);
      await tab.join('chat');
      const before = tab.client.connection;
      assert.deepEqual(await shown(before), ['chat']);
      await away(tab, proxy, async () => {});
      assert.equal(tab.client.resumed, 1);
      assert.deepEqual(await shown(tab.client.connection), ['chat']);
    });
  });
}
