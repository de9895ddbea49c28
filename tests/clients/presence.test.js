'use strict';
// Who is in a channel, for each real client that asks: pages with the library, socket.io-client and an EventSource hear of each
// other, and of nothing while one of them is cut.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { EventSource } = require('eventsource');
const { afterwards } = require('./afterwards');
const { open, TRANSPORTS } = require('./library/open');
const { relayTo } = require('./library/relay');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 60_000 };
const CHANNELS = [{ prefix: 'c', join: 'open', presence: true }];

/** A page that is this user, joins the channel and notes who is there. */
async function member(t, url, user, options) {
  const page = open(t, url, { ident: { username: user }, ...options });
  page.told = [];
  page.turted.onPresence((told) => page.told.push(told));
  await page.turted.join('c', { presence: true });
  return page;
}

/** Whether something holds, for `until`. */
const holds = (check) => () => {
  try {
    check();
    return true;
  } catch {
    return false;
  }
};

describe('presence', LIMITS, () => {
  for (const { title, options } of TRANSPORTS) {
    test(`is told to pages with the library over ${title}, also when they come back`, async (t) => {
      const server = await start(t, { channels: CHANNELS });
      const relay = await relayTo(t, server);
      const sees = (page, users) =>
        until(holds(() => assert.deepEqual(page.told.at(-1)?.users?.toSorted(), users)), () => `${users} in ${JSON.stringify(page.told)}`);
      const adam = await member(t, relay.url, 'adam', options);
      await sees(adam, ['adam']);
      const eve = await member(t, server.url, 'eve', options);
      await sees(eve, ['adam', 'eve']);
      await sees(adam, ['adam', 'eve']);
      const [before, again] = [eve.told.length, adam.told.length];
      relay.cut();
      await adam.becomes('connected');
      assert.equal(adam.turted.recovered, true);
      await until(() => adam.told.length > again, () => JSON.stringify(adam.told));
      await sees(adam, ['adam', 'eve']);
      const abel = await member(t, server.url, 'abel', options);
      await sees(adam, ['abel', 'adam', 'eve']);
      assert.deepEqual(eve.told.slice(before).flatMap(({ left }) => left ?? []), [], 'nobody hears of the cut');
      await abel.turted.leave('c');
      await sees(adam, ['adam', 'eve']);
      assert.deepEqual(adam.told.at(-1), { channel: 'c', users: ['adam', 'eve'], joined: [], left: ['abel'], count: 2, anonymous: 0 });
    });
  }

  test('is asked for once more where another component has joined without it, and refused where there is none', async (t) => {
    const server = await start(t, { channels: CHANNELS });
    const page = open(t, server.url, { ident: { username: 'adam' }, transports: ['websocket'] });
    const told = [];
    page.turted.onPresence((presence) => told.push(presence));
    await page.turted.join('c');
    await page.turted.join('c', { presence: true });
    await until(() => told.length > 0);
    assert.deepEqual(told[0].users, ['adam']);
    await page.turted.join('other');
    await assert.rejects(page.turted.join('other', { presence: true }), { code: 'presence-refused' });
    await server.push({ event: 'E', targets: { channels: ['other'] }, payload: 'still there' });
    await page.heard('still there');
    await assert.rejects(page.turted.join('another', { presence: true }), { code: 'presence-refused' });
    await page.turted.join('another');
  });

  test('is refused alone where another component joins without it at the same time', async (t) => {
    const server = await start(t, { channels: CHANNELS });
    const page = open(t, server.url, { ident: { username: 'adam' }, transports: ['websocket'] });
    for (const [channel, pause] of [['other', 0], ['another', 1]]) {
      const plain = page.turted.join(channel);
      if (pause) await Promise.resolve();
      await assert.rejects(page.turted.join(channel, { presence: true }), { code: 'presence-refused' });
      await plain;
      await server.push({ event: 'E', targets: { channels: [channel] }, payload: channel });
      await page.heard(channel);
    }
  });

  for (const version of ['2', '3', '4']) {
    for (const transport of ['websocket', 'polling']) {
      test(`is told to socket.io-client ${version} over ${transport}`, async (t) => {
        const io = require(`socket.io-client-${version}`);
        const server = await start(t, { channels: CHANNELS });
        const socket = (io.io ?? io)(server.url, { transports: [transport], forceNew: true });
        afterwards(t, () => socket.close());
        const told = [];
        socket.on('PRESENCE', (...args) => told.push(args));
        socket.emit('IDENT', { username: 'adam' });
        socket.emit('JOIN', { channel: 'c', presence: true });
        await until(() => told.length > 0);
        assert.deepEqual(told[0], [{ channel: 'c', users: ['adam'], count: 1, anonymous: 0 }]);
        await member(t, server.url, 'eve');
        await until(() => told.length > 1);
        assert.deepEqual(told[1], [{ channel: 'c', joined: ['eve'], left: [], count: 2, anonymous: 0 }]);
      });
    }
  }

  test('is told to an EventSource, which does not resume from it', async (t) => {
    const server = await start(t, { channels: CHANNELS });
    const source = new EventSource(`${server.url}/sse?channel=c&presence=1`);
    afterwards(t, () => source.close());
    const told = [];
    source.addEventListener('turted:presence', ({ data }) => told.push(JSON.parse(data)));
    await until(() => told.length > 0);
    assert.deepEqual(told[0], { channel: 'c', users: [], count: 0, anonymous: 1 });
    await member(t, server.url, 'eve');
    await until(() => told.length > 1);
    assert.deepEqual(told[1], { channel: 'c', joined: ['eve'], left: [], count: 1, anonymous: 1 });
  });
});
