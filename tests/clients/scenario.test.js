'use strict';
// What a page does: one scenario for every client over every transport.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { CLIENTS } = require('./everywhere');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
// Latency in each direction, so that an upgrade takes long enough for events to arrive during it.
const LATENCY_MS = 15;
// A connect with an upgrade takes some twelve latencies; a push takes at least 0.1 ms.
const PUSHES_MAX = 10_000;
const MISSED = 20;

const ECHOES = [
  'text',
  '',
  'é€😀 "q" \\ end',
  'line\u2028separator\u2029paragraph\n',
  '\u001e record separator',
  { nested: { list: [1, 'two', null, true, { three: 3.5 }] }, ключ: '值' },
  [],
  {},
  0,
  false,
  null,
];

const TARGETS = [
  [{ users: ['adam'] }, { user: 'adam' }],
  [{ users: 'adam' }, { user: 'adam' }],
  [{ channels: ['chat'] }, { channel: 'chat' }],
  [{ users: ['adam'], channels: ['chat', 'log'] }, { user: 'adam' }],
  [{ users: ['eve', 'adam'], channels: ['chat'] }, { user: 'adam' }],
  [{ users: ['eve'], channels: ['nobody', 'log', 'chat'] }, { channel: 'log' }],
  [{ broadcast: true }, { broadcast: true }],
];

const NOT_FOR_ADAM = [
  { users: ['eve'] },
  { channels: ['elsewhere'] },
  { users: ['chat'], channels: ['adam'] },
  { broadcast: false },
  { users: [], channels: [] },
  {},
];

const NO_CHANNELS = ['', 'x'.repeat(256), 'a\nb'];
const INTERNALS_OF_JAVASCRIPT = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

/** A page of adam in `chat` behind a proxy, after its first event. */
async function settled(t, client) {
  const server = await start(t, client.config);
  const proxy = await proxyTo(t, server);
  const tab = client.open(t, proxy.url);
  await tab.ident('adam');
  await tab.join('chat');
  await tab.settled();
  await server.emit('FIRST', { users: ['adam'] });
  await tab.event('FIRST');
  return { server, proxy, tab };
}

/** A target that still reaches a page that is back, by what its client keeps. */
const REACHES = { everything: { channels: ['chat'] }, user: { users: ['adam'] }, nothing: { broadcast: true } };

for (const client of CLIENTS) {
  describe(client.title, { concurrency: true }, () => {
    test('identifies, joins, and joins again much later', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const tab = client.open(t, server.url);
      await Promise.all([tab.ident('adam'), tab.join('chat')]);
      await tab.settled();
      await server.emit('EARLY', { channels: ['late'] });
      await tab.join('late');
      await server.emit('HELLO', { channels: ['late'] });
      await server.emit('BOTH', { channels: ['chat'], users: ['adam'] });
      await tab.event('BOTH');
      assert.deepEqual(tab.events.map(({ event, via }) => [event, via]), [
        ['HELLO', { channel: 'late' }],
        ['BOTH', { user: 'adam' }],
      ]);
    });

    test('gets back what it echoes', { ...LIMITS, skip: !client.speaks && 'it only listens' }, async (t) => {
      const server = await start(t, client.config);
      const tab = client.open(t, server.url);
      for (const data of ECHOES) await tab.echo(data);
    });

    test('hears each push once and is told why', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const tab = client.open(t, server.url);
      await tab.ident('adam');
      await tab.join('chat');
      await tab.join('log');
      for (const [index, [targets]] of TARGETS.entries()) {
        await server.emit(`E${index}`, targets, { index, texts: ECHOES });
      }
      for (const [index, targets] of NOT_FOR_ADAM.entries()) await server.emit(`NOT${index}`, targets);
      await server.emit('END', { broadcast: true });
      await tab.event('END');
      const expected = TARGETS.map(([, via], index) => ({
        event: `E${index}`,
        payload: { index, texts: ECHOES },
        via,
      }));
      assert.deepEqual(tab.events.slice(0, -1), expected);
    });

    test('hears a push in both tabs of one user', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const tabs = [client.open(t, server.url), client.open(t, server.url)];
      const stranger = client.open(t, server.url);
      await Promise.all([...tabs.map((tab) => tab.ident('adam')), stranger.ident('eve')]);
      await server.emit('NEWS', { users: ['adam'] });
      await server.emit('END', { broadcast: true });
      await Promise.all([...tabs, stranger].map((tab) => tab.event('END')));
      assert.deepEqual(tabs.map((tab) => tab.heard), [['NEWS', 'END'], ['NEWS', 'END']]);
      assert.deepEqual(stranger.heard, ['END']);
    });

    test('loses no event while it connects and changes its transport', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const proxy = await proxyTo(t, server, LATENCY_MS);
      const tab = client.open(t, proxy.url);
      let pushed = 0;
      let sinceOk = 0;
      let isJoined = false;
      let isSettled = false;
      const both = tab.join('chat').then(() => (isJoined = true)).then(() => tab.settled()).then(() => (isSettled = true));
      while (sinceOk < 100 || !isSettled) {
        assert.ok(pushed < PUSHES_MAX, 'the client joins and upgrades in time');
        const counts = isJoined;
        await server.emit('N', { channels: ['chat'] }, pushed++);
        if (counts) sinceOk++;
      }
      await both;
      const firstAfterOk = pushed - sinceOk;
      await until(() => tab.events.at(-1)?.payload === pushed - 1, 'the last event');
      const heard = tab.events.map((event) => event.payload);
      assert.ok(heard[0] <= firstAfterOk, `${heard[0]} came first, ${firstAfterOk} was due`);
      assert.deepEqual(heard, Array.from(heard, (_, index) => heard[0] + index));
    });

    test('hears nothing of a channel it has left', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const tab = client.open(t, server.url);
      await tab.join('chat');
      await tab.join('log');
      await tab.leave('chat');
      await server.emit('LEFT', { channels: ['chat'] });
      await server.emit('STAYED', { channels: ['log'] });
      await tab.event('STAYED');
      assert.deepEqual(tab.heard, ['STAYED']);
    });

    test('is told why it may not join, and stays connected', LIMITS, async (t) => {
      const server = await start(t, client.config);
      const tab = client.open(t, server.url);
      await tab.ident('adam');
      for (const channel of NO_CHANNELS) assert.match(await tab.refused(channel), /\S/, channel);
      await server.emit('STILL', { users: ['adam'] });
      await tab.event('STILL');
    });

    test('may use the names of JavaScript internals', LIMITS, async (t) => {
      const server = await start(t, client.config);
      for (const name of INTERNALS_OF_JAVASCRIPT) {
        const tab = client.open(t, server.url);
        await tab.ident(name);
        await tab.join(name);
        await server.emit('BOTH', { users: [name], channels: [name] });
        await server.emit('CHANNEL', { channels: [name] });
        await server.emit('END', { broadcast: true });
        await tab.event('END');
        assert.deepEqual(tab.heard, ['BOTH', 'CHANNEL', 'END'], name);
        tab.close();
      }
    });

    test('is back after a drop with all its client keeps, once and in order', LIMITS, async (t) => {
      const { server, proxy, tab } = await settled(t, client);
      const gone = tab.gone();
      proxy.drop();
      const back = await gone;
      for (const number of numbers(MISSED)) {
        await server.emit('MISSED', number % 2 ? { users: ['adam'] } : { channels: ['chat'] }, number);
        await server.emit('OTHER', { users: ['eve'], channels: ['elsewhere'] }, number);
      }
      proxy.restore();
      await back();
      await server.emit('LAST', REACHES[client.keeps]);
      await tab.event('LAST');
      const missed = client.keeps === 'everything' ? numbers(MISSED) : [];
      assert.deepEqual(tab.heard, ['FIRST', ...missed.map(() => 'MISSED'), 'LAST']);
      assert.deepEqual(tab.events.slice(1, -1).map(({ payload }) => payload), missed);
    });

    test('is back after the server has started anew on its port', LIMITS, async (t) => {
      const { server, tab } = await settled(t, client);
      const gone = tab.gone();
      await server.kill();
      const back = await gone;
      await server.run();
      await back();
      // After a restart only what clients send again is left.
      const keeps = client.restores ?? client.keeps;
      await server.emit('AGAIN', REACHES[keeps]);
      await tab.event('AGAIN');
      assert.deepEqual(tab.heard, ['FIRST', 'AGAIN']);
    });
  });
}

test('every client hears the same broadcast over every transport', { timeout: 60_000 }, async (t) => {
  const server = await start(t);
  const tabs = CLIENTS.map((client) => client.open(t, server.url));
  await Promise.all(tabs.map((tab) => tab.join('chat')));
  await Promise.all(tabs.map((tab) => tab.settled()));
  await server.emit('ALL', { broadcast: true, channels: ['chat'] }, [1, 2, 3]);
  await server.emit('END', { broadcast: true });
  await Promise.all(tabs.map((tab) => tab.event('END')));
  for (const tab of tabs) {
    assert.deepEqual(tab.heard, ['ALL', 'END']);
    assert.deepEqual(tab.events[0], { event: 'ALL', payload: [1, 2, 3], via: { channel: 'chat' } });
  }
});
