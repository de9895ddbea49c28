'use strict';
// Each event once and in order, or a gap told: cuts while a thousand events come each second. LIBRARY_CUTS says how
// many cuts; `npm run library` makes a thousand.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { start } = require('../server');
const { until } = require('../waiting');
const { open, TRANSPORTS } = require('./open');
const { relayTo } = require('./relay');

const CUTS = Number(process.env.LIBRARY_CUTS || 100);
const PUSHES_A_SECOND = 1000;
const BATCH_MAX = 100;
/** Of a hundred cuts, how many may tell of a gap. */
const GAPS_OF_100_MAX = 5;

/** Pushes what is due, in one batch each time, until `stop()`, which resolves with the number of events. */
function pushing(server) {
  const began = Date.now();
  let isOver = false;
  let number = 0;
  const run = async () => {
    while (!isOver) {
      const due = Math.floor(((Date.now() - began) / 1000) * PUSHES_A_SECOND);
      const batch = [];
      for (; number < due && batch.length < BATCH_MAX; number++) {
        const targets = number % 2 ? { users: ['adam'] } : { channels: ['chat'] };
        batch.push({ event: 'N', targets, payload: number });
      }
      if (batch.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      else assert.equal((await server.push(batch)).status, 200);
    }
    return { number, seconds: (Date.now() - began) / 1000 };
  };
  const done = run();
  return { stop: () => ((isOver = true), done) };
}

/** Checks that numbers go up by one, but for jumps on connections that have told of a gap. */
function check(record) {
  let expected = null;
  let jumps = 0;
  for (const { number, connection } of record.events) {
    if (expected !== null && number !== expected) {
      assert.ok(number > expected, `${number} came after ${expected - 1}`);
      assert.ok(record.gaps.has(connection), `${number} came after ${expected - 1}, and no gap was told`);
      jumps++;
    }
    expected = number + 1;
  }
  return jumps;
}

for (const { title, options } of TRANSPORTS) {
  test(`${CUTS} cuts under load over ${title} lose nothing and repeat nothing`, { timeout: 60_000 + CUTS * 2000 }, async (t) => {
    const server = await start(t, { recovery: { replay: 1000 } });
    const relay = await relayTo(t, server);
    const { turted, errors, states } = open(t, relay.url, { ...options, ident: { username: 'adam' } });
    const record = { events: [], gaps: new Set(), connection: 0 };
    turted.on('N', (number) => record.events.push({ number, connection: record.connection }));
    turted.onState((state) => state === 'connected' && record.connection++);
    turted.onGap(() => record.gaps.add(record.connection));
    await turted.join('chat');
    const pushes = pushing(server);
    for (let cut = 0; cut < CUTS; cut++) {
      const seen = record.events.length;
      await until(() => turted.state === 'connected' && record.events.length > seen, () => `events after ${JSON.stringify(states.slice(-3))}`, 30_000);
      relay.cut();
      await until(() => turted.state !== 'connected');
    }
    const { number, seconds } = await pushes.stop();
    await until(() => record.events.at(-1).number === number - 1, 'the last event', 30_000);
    const jumps = check(record);
    const rate = Math.round(number / seconds);
    t.diagnostic(`${number} pushes at ${rate}/s, ${record.events.length} events, ${record.gaps.size} gaps, ${jumps} jumps`);
    assert.ok(record.gaps.size <= (CUTS * GAPS_OF_100_MAX) / 100, `${record.gaps.size} gaps`);
    assert.deepEqual(errors, []);
  });
}
