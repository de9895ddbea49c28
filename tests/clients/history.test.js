'use strict';
// The history of a channel, for each real client that joins later: the last events, then what is new, each once; and clients
// that are cut in the middle of it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { EventSource } = require('eventsource');
const { afterwards } = require('./afterwards');
const { open, TRANSPORTS } = require('./library/open');
const { relayTo } = require('./library/relay');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 60_000 };
const CHANNELS = [{ prefix: 'c', join: 'open', history: 50 }];
const JSON_ANSWER = { Accept: 'application/json' };
const LARGE = 'x'.repeat(200_000);

/** Pushes numbers to the channel, and waits until every worker has them. */
async function say(server, first, last, payload = (number) => number) {
  for (let number = first; number <= last; number++) {
    const { status } = await server.push({ event: 'N', targets: { channels: ['c'] }, payload: payload(number) }, JSON_ANSWER);
    assert.equal(status, 200);
  }
}

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe('history', { timeout: 180_000 }, () => {
  for (const version of ['2', '3', '4']) {
    for (const transport of ['websocket', 'polling']) {
      test(`reaches socket.io-client ${version} over ${transport}, and is nothing that it resumes from`, async (t) => {
        const io = require(`socket.io-client-${version}`);
        const server = await start(t, { channels: CHANNELS });
        await say(server, 1, 5);
        const socket = (io.io ?? io)(server.url, { transports: [transport], forceNew: true, reconnectionDelay: 50 });
        afterwards(t, () => socket.close());
        const events = [];
        const replies = [];
        socket.on('EVENT', (...args) => events.push(args));
        socket.on('OK', (reply) => replies.push(reply));
        socket.emit('JOIN', { channel: 'c', history: 3 });
        await until(() => events.length === 3);
        assert.deepEqual(replies, [{ channel: 'c', replayed: 3, complete: true }]);
        for (const args of events) {
          assert.equal(args.length, 1, 'no position');
          assert.equal(args[0].replayed, true);
        }
        await say(server, 6, 6);
        await until(() => events.length === 4);
        assert.deepEqual(events.map(([{ payload }]) => payload), range(3, 6));
        assert.equal(events[3][0].replayed, undefined);
      });
    }
  }

  for (const transport of ['websocket', 'polling']) {
    test(`that is cut in the middle moves socket.io-client back to nothing over ${transport}`, async (t) => {
      const io = require('socket.io-client-4');
      const server = await start(t, { channels: CHANNELS });
      const relay = await relayTo(t, server);
      await say(server, 1, 40, (number) => `${number} ${LARGE}`);
      const socket = io.io(relay.url, { transports: [transport], forceNew: true, reconnectionDelay: 50 });
      afterwards(t, () => socket.close());
      const events = [];
      const replies = [];
      const states = [];
      socket.on('connect', () => states.push(socket.recovered));
      socket.on('OK', (reply) => replies.push(reply));
      socket.on('EVENT', ({ payload }) => {
        events.push(parseInt(payload, 10));
        if (events.length !== 5) return;
        // A poll that begins just then would go over another connection.
        relay.isAway = true;
        relay.cut();
      });
      socket.on('disconnect', () => (relay.isAway = false));
      await until(() => states.length === 1);
      await server.push({ event: 'N', targets: { broadcast: true }, payload: '0' }, JSON_ANSWER);
      await until(() => events.length === 1);
      socket.emit('JOIN', { channel: 'c', history: 40 });
      await until(() => states.length === 2, () => `${states}`);
      assert.equal(states[1], true, 'it is recovered');
      await say(server, 41, 42, (number) => `${number} ${LARGE}`);
      await until(() => events.includes(42), () => `42 among ${events}`);
      const known = events.length;
      assert.ok(known < 43, `the history was cut: ${events}`);
      assert.deepEqual(events, [...range(0, known - 3), 41, 42], 'nothing comes twice, and what is new is whole');
      // Fewer came than the reply said: it joins once more.
      assert.deepEqual(replies, [{ channel: 'c', replayed: 40, complete: true }]);
      socket.emit('LEAVE', { channel: 'c' });
      socket.emit('JOIN', { channel: 'c', history: 40 });
      await until(() => events.length === known + 40, () => `${events}`);
      assert.deepEqual(events.slice(known), range(3, 42));
    });
  }

  test('comes anew to an EventSource that was cut in the middle of it', async (t) => {
    const server = await start(t, { channels: CHANNELS, sse: { retry: '50ms' } });
    const relay = await relayTo(t, server);
    await say(server, 1, 40, (number) => `${number} ${LARGE}`);
    const source = new EventSource(`${relay.url}/sse?channel=c&history=40`);
    afterwards(t, () => source.close());
    const events = [];
    source.addEventListener('N', ({ data, lastEventId }) => {
      // Payloads are JSON.
      events.push([parseInt(JSON.parse(data), 10), lastEventId]);
      if (events.length === 5) relay.cut();
    });
    await until(() => events.some(([number]) => number === 40), () => `40 among ${events.length}`, 30_000);
    await say(server, 41, 41, (number) => `${number} ${LARGE}`);
    await until(() => events.some(([number]) => number === 41), () => `41 among ${events.length}`);
    const numbers = events.map(([number]) => number);
    const cut = numbers.lastIndexOf(1);
    assert.ok(cut >= 5, `${numbers}`);
    assert.deepEqual(numbers, [...range(1, cut), ...range(1, 41)]);
    assert.ok(events.slice(0, -1).every(([, id]) => id === '') && events.at(-1)[1] !== '');
  });

  test('reaches an EventSource, which comes back without it', async (t) => {
    const server = await start(t, { channels: CHANNELS, sse: { retry: '50ms' } });
    const relay = await relayTo(t, server);
    await say(server, 1, 5);
    const source = new EventSource(`${relay.url}/sse?channel=c&history=3`);
    afterwards(t, () => source.close());
    const events = [];
    source.addEventListener('N', ({ data, lastEventId }) => events.push([Number(data), lastEventId]));
    await until(() => events.length === 3);
    assert.deepEqual(events.map(([, id]) => id), ['', '', '']);
    await say(server, 6, 6);
    await until(() => events.length === 4);
    assert.notEqual(events[3][1], '');
    relay.cut();
    await say(server, 7, 7);
    await until(() => events.length === 5);
    assert.deepEqual(events.map(([number]) => number), range(3, 7));
  });

  for (const { title, options } of TRANSPORTS) {
    test(`reaches the library over ${title}, and what it misses it gets after a gap`, async (t) => {
      const server = await start(t, { channels: CHANNELS, recovery: { replay: 2 } });
      const relay = await relayTo(t, server);
      await say(server, 1, 5);
      const page = open(t, relay.url, options);
      await page.turted.join('c', { history: 3 });
      await page.heard(5);
      assert.ok(page.events.every(({ replayed, position, cursor }) => replayed && position && !cursor));
      await say(server, 6, 6);
      await page.heard(6);
      assert.equal('replayed' in page.events.at(-1), false);
      relay.isAway = true;
      relay.cut();
      await say(server, 7, 11);
      relay.isAway = false;
      await page.heard(11);
      await say(server, 12, 12);
      await page.heard(12);
      assert.deepEqual(page.payloads, range(3, 12));
      assert.deepEqual(page.gaps.map(({ code }) => code), ['gap'], 'of what came by other targets nothing is known');
    });

    test(`goes on where the library was cut in the middle of it over ${title}`, async (t) => {
      const server = await start(t, { channels: CHANNELS });
      const relay = await relayTo(t, server);
      await say(server, 1, 40, (number) => `${number} ${LARGE}`);
      const page = open(t, relay.url, options);
      page.turted.on('N', () => page.events.length === 5 && relay.cut());
      await page.turted.join('c', { history: 40 });
      const numbers = () => page.payloads.map((payload) => parseInt(payload, 10));
      await until(() => numbers().includes(40), () => `40 among ${numbers()}`, 30_000);
      await say(server, 41, 41, (number) => `${number} ${LARGE}`);
      await until(() => numbers().includes(41), () => `41 among ${numbers()}`, 30_000);
      assert.deepEqual(numbers(), range(1, 41));
      // What is said over SockJS is not noted.
      const joins = page.requests('join');
      if (joins.length > 0) assert.deepEqual(joins.map((join) => [join.history, !!join.since]), [[40, false], [undefined, true]]);
    });
  }

  test('begins with what the log on disk holds, when the server was killed', async (t) => {
    const server = await start(t, { channels: CHANNELS, log: { store: 'disk', directory: 'log' } });
    await say(server, 1, 5);
    await server.restart();
    const page = open(t, server.url, { transports: ['websocket'] });
    await page.turted.join('c', { history: 3 });
    await page.heard(5);
    assert.deepEqual(page.payloads, [3, 4, 5]);
  });
});
