'use strict';
// What a page notices when the network fails and when the server is restarted.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { CELLS, open } = require('./tab');
const { next, until } = require('./waiting');

const LIMITS = { timeout: 30_000 };

/** Cuts the connection of `tab`, does `meanwhile` while it is away, and waits until it is back. */
async function away(tab, proxy, meanwhile = async () => {}) {
  const gone = next(tab.native, 'disconnect');
  const back = next(tab.native, 'connect');
  proxy.drop();
  await gone;
  await meanwhile();
  proxy.restore();
  await back;
}

/** Checks that the tab is its user again: a push to the user arrives. */
async function reachable(server, tab) {
  await server.emit('AGAIN', { users: ['adam'] });
  assert.deepEqual((await tab.event('AGAIN')).via, { user: 'adam' });
}

async function broadcastArrives(server, tab) {
  await server.emit('EVERYONE', { broadcast: true });
  await tab.event('EVERYONE');
}

/** Pushes events for adam and for `chat`, mixed with others. Returns the payloads that are due. */
async function pushMixed(server, count) {
  for (let number = 0; number < count; number++) {
    await server.emit('MISSED', number % 2 ? { users: ['adam'] } : { channels: ['chat'] }, number);
    await server.emit('OTHER', { users: ['eve'], channels: ['elsewhere'] }, number);
  }
  return Array.from({ length: count }, (_, number) => number);
}

/** A tab of adam in `chat` behind a proxy, after its first event. */
async function settled(t, cell, config) {
  const server = await start(t, config);
  const proxy = await proxyTo(t, server);
  const tab = open(t, cell, proxy.url);
  await tab.ident('adam');
  await tab.join('chat');
  await until(() => tab.transport === cell.transports.at(-1), 'the last transport');
  await server.emit('FIRST', { users: ['adam'] });
  await tab.event('FIRST');
  return { server, proxy, tab };
}

async function recovers(t, cell, drop) {
  const { server, proxy, tab } = await settled(t, cell);
  const { id } = tab.native;
  const gone = next(tab.native, 'disconnect');
  const back = next(tab.native, 'connect');
  drop(proxy);
  await gone;
  const due = await pushMixed(server, 20);
  proxy.restore();
  await back;
  assert.equal(tab.native.recovered, true);
  assert.equal(tab.native.id, id);
  await server.emit('LAST', { channels: ['chat'] });
  await tab.event('LAST');
  assert.deepEqual(tab.heard, ['FIRST', ...due.map(() => 'MISSED'), 'LAST']);
  assert.deepEqual(tab.events.slice(1, -1).map((event) => event.payload), due);
}

for (const cell of CELLS) {
  describe(cell.title, { concurrency: true }, () => {
    if (cell.major <= 2) {
      test('identifies itself again after a drop', LIMITS, async (t) => {
        const { server, proxy, tab } = await settled(t, cell);
        await away(tab, proxy);
        await tab.answer('OK', { username: 'adam' });
        await reachable(server, tab);
      });
    }

    if (cell.major === 3) {
      test('connects again after a drop and hears broadcasts', LIMITS, async (t) => {
        const { server, proxy, tab } = await settled(t, cell);
        await away(tab, proxy);
        await broadcastArrives(server, tab);
      });
    }

    if (cell.major === 4) {
      test('recovers from a drop without loss, duplicate or reorder', LIMITS, (t) =>
        recovers(t, cell, (proxy) => proxy.drop()));

      test('recovers though the server has not noticed the drop', LIMITS, (t) =>
        recovers(t, cell, (proxy) => proxy.dropUnnoticed()));

      test('recovers from five drops in the midst of events', LIMITS, async (t) => {
        const { server, proxy, tab } = await settled(t, cell);
        let pushed = 0;
        for (let drop = 0; drop < 5; drop++) {
          // engine.io-client 6 that loses its probe while polling is paused polls no more until its ping
          // times out, after 45 s. A server can do nothing against that.
          await until(() => tab.transport === cell.transports.at(-1), 'the last transport');
          const back = next(tab.native, 'connect');
          const gone = next(tab.native, 'disconnect');
          const burst = Array.from({ length: 10 }, () => pushed++);
          for (const number of burst.slice(0, 5)) await server.emit('N', { users: ['adam'] }, number);
          proxy.drop();
          for (const number of burst.slice(5)) await server.emit('N', { channels: ['chat'] }, number);
          await gone;
          proxy.restore();
          await back;
          assert.equal(tab.native.recovered, true, `drop ${drop}`);
        }
        await server.emit('LAST', { users: ['adam'] });
        await tab.event('LAST');
        const numbers = tab.events.filter((event) => event.event === 'N').map((event) => event.payload);
        assert.deepEqual(numbers, Array.from({ length: pushed }, (_, number) => number));
      });

      test('is its user again after a drop before its first event', LIMITS, async (t) => {
        const server = await start(t);
        const proxy = await proxyTo(t, server);
        const tab = open(t, cell, proxy.url);
        await tab.ident('adam');
        await away(tab, proxy);
        if (!tab.native.recovered) await tab.answer('OK', { username: 'adam' });
        await reachable(server, tab);
      });

      test('is in its channels again behind a gap, and hears that there is one', LIMITS, async (t) => {
        const { server, proxy, tab } = await settled(t, cell, { recovery: { log_dispatches: 5 } });
        const told = next(tab.native, 'reconnect');
        await away(tab, proxy, () => pushMixed(server, 20));
        assert.equal(tab.native.recovered, false);
        await told;
        // The TURTED client identifies itself on that event, and joins nothing.
        await tab.answer('OK', { username: 'adam' });
        await server.emit('NEW', { channels: ['chat'] });
        await tab.event('NEW');
        await reachable(server, tab);
        assert.deepEqual(tab.heard, ['FIRST', 'NEW', 'AGAIN']);
        // The new session can be resumed as the first one could.
        await away(tab, proxy, () => server.emit('LAST', { channels: ['chat'] }));
        assert.equal(tab.native.recovered, true);
        await tab.event('LAST');
      });

      test('is its user and in its channels again after kill -9 and a start with the log on disk', LIMITS, async (t) => {
        const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-log-'));
        t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
        const server = await start(t, { log: { directory } });
        const tab = open(t, cell, server.url);
        await tab.ident('adam');
        await tab.join('chat');
        await tab.join('left');
        tab.native.emit('LEAVE', { channel: 'left' });
        await tab.answer('OK', { channel: 'left' });
        await until(() => tab.transport === cell.transports.at(-1), 'the last transport');
        for (let kill = 0; kill < 2; kill++) {
          const back = next(tab.native, 'connect');
          await server.restart();
          await back;
          assert.equal(tab.native.recovered, true);
          await server.emit('LEFT', { channels: ['left'] });
          await server.emit(`CHAT${kill}`, { channels: ['chat'] });
          await tab.event(`CHAT${kill}`);
          await server.emit(`USER${kill}`, { users: ['adam'] });
          await tab.event(`USER${kill}`);
        }
        assert.deepEqual(tab.heard, ['CHAT0', 'USER0', 'CHAT1', 'USER1']);
      });

      test('does not recover what it has left', LIMITS, async (t) => {
        const { server, proxy, tab } = await settled(t, cell);
        tab.native.emit('LEAVE', { channel: 'chat' });
        await tab.answer('OK', { channel: 'chat' });
        await away(tab, proxy, () => server.emit('LEFT', { channels: ['chat'] }));
        assert.equal(tab.native.recovered, true);
        await server.emit('LEFT', { channels: ['chat'] });
        await reachable(server, tab);
        assert.deepEqual(tab.heard, ['FIRST', 'AGAIN']);
      });
    }

    test('connects again after the server has started anew on its port', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      await tab.ident('adam');
      await until(() => tab.transport === cell.transports.at(-1), 'the last transport');
      const back = next(tab.native, 'connect');
      await server.restart();
      await back;
      if (cell.major === 3) return broadcastArrives(server, tab);
      // A cluster has kept its sessions.
      if (!tab.native.recovered) await tab.answer('OK', { username: 'adam' });
      return reachable(server, tab);
    });
  });
}

test('a server that is stopped ends with code 0 while clients are connected, and they come back', { timeout: 60_000 }, async (t) => {
  const server = await start(t);
  const tabs = CELLS.map((cell) => open(t, cell, server.url));
  await Promise.all(tabs.map((tab) => tab.ident('adam')));
  const reasons = [];
  for (const tab of tabs) tab.native.on('disconnect', (reason) => reasons.push(reason));
  assert.equal(await server.stop(35_000), 0);
  await until(() => reasons.length === tabs.length, 'every client to notice');
  assert.ok(!reasons.includes('io server disconnect'), 'a client that is told this reason never comes back');
  const back = tabs.map((tab) => next(tab.native, 'connect'));
  await server.run();
  await Promise.all(back);
  await server.emit('EVERYONE', { broadcast: true });
  await Promise.all(tabs.map((tab) => tab.event('EVERYONE')));
});
