'use strict';
// Clients on a slow link that never stop reading: ten pushes of 1 MiB arrive late, and no client is cut. All
// clients are tested at the same time, because the test only waits.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { CLIENTS } = require('./everywhere');
const { narrowLinks } = require('./narrow');
const { start } = require('./server');
const { openPlain } = require('./tab');
const { until } = require('./waiting');

// 1 Mbit/s.
const BYTES_PER_SECOND = 125_000;
const PUSHES = 10;
const PUSH_BYTES = 1024 * 1024;
// Ten pushes take 84 s; a busy machine gets as much again.
const WAIT_MS_MAX = 170_000;
const LIMITS = { timeout: 200_000, concurrency: true };

// socket.io-client 1 behaves like 2, and 3 like 4. In SockJS turted.v1 is carried as the messages of turted
// 0.1 are.
const isOther = ({ title }) => !/^socket\.io-client [13]|^turted\.v1 in SockJS/.test(title);
const PLAIN = { title: 'turted-client as its README has it', open: openPlain };
const READERS = [...CLIENTS.filter(isOther), PLAIN];

/** A push whose body has exactly 1 MiB. */
function push(number) {
  const body = (filler) => JSON.stringify({ event: 'LARGE', targets: { broadcast: true }, payload: { number, filler } });
  return body('x'.repeat(PUSH_BYTES - body('').length));
}

describe('on a link of 1 Mbit/s', () => {
  test('ten pushes of 1 MiB come late, once, in order, without a reconnect', LIMITS, async (t) => {
    const server = await start(t, { sse: { retry: '20ms' } });
    const links = await narrowLinks(t, server, READERS.length, BYTES_PER_SECOND);
    const tabs = READERS.map((reader, index) => reader.open(t, links[index]));
    await Promise.all(tabs.map((tab) => ready(server, tab)));
    const began = Date.now();
    for (let number = 0; number < PUSHES; number++) {
      const { status, body } = await server.push(push(number));
      assert.deepEqual([status, body], [200, 'OK']);
    }
    const reading = tabs.map((tab, index) =>
      t.test(READERS[index].title, LIMITS, async (each) => {
        await receives(tab);
        each.diagnostic(`all came within ${Math.round((Date.now() - began) / 1000)} s`);
      }),
    );
    await Promise.all(reading);
  });
});

/** Waits until a tab receives events over its last transport. */
async function ready(server, tab) {
  const heard = () => tab.events.some(({ event }) => event === 'READY');
  const again = setInterval(() => server.emit('READY', { broadcast: true }).catch(() => {}), 200);
  try {
    await until(heard, 'the first event', 20_000);
    await tab.settled();
  } finally {
    clearInterval(again);
  }
  tab.losses = 0;
}

async function receives(tab) {
  const large = () => tab.events.filter(({ event }) => event === 'LARGE').map(({ payload }) => payload);
  const came = () => `${large().length} of ${PUSHES} came`;
  const isOver = () => {
    assert.equal(tab.losses, 0, `the connection was lost, ${came()}`);
    return large().length >= PUSHES;
  };
  await until(isOver, came, WAIT_MS_MAX);
  assert.deepEqual(large().map(({ number }) => number), [...Array(PUSHES).keys()]);
  const bytes = new Set(large().map(({ filler }) => filler.length));
  assert.equal(bytes.size, 1, `all are complete: ${[...bytes]}`);
}
