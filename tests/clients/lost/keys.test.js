'use strict';
// Backends that push again with the same `Idempotency-Key` after every broken answer: each push is dispatched exactly
// once, however often its connection is cut, and with a log on disk however often the server is killed. KEYS_PUSHES says
// how many pushes there are; `npm run lost` makes 100,000.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { afterwards } = require('../afterwards');
const { relayTo } = require('../library/relay');
const { start } = require('../server');
const { until } = require('../waiting');
const { Backend } = require('./backend');
const { check } = require('./checker');
const { EventSourceClient } = require('./clients/stream');
const { History, now } = require('./history');
const { logOf, STORES } = require('./stores');

const PUSHES = Number(process.env.KEYS_PUSHES || 3000);
const ENDS = Number(process.env.KEYS_ENDS || 10);
/** Backends at work, each with one push at a time. */
const BACKENDS = 16;
const MS_MAX = 60_000 + PUSHES * 10;

/** What breaks answers: with a log in memory the network alone, because keys die with the server. */
const BREAK = {
  memory: async ({ relay }) => relay.cut(),
  disk: async ({ server, journal }) => {
    await server.kill();
    journal.add({ at: now(), who: 'server', do: 'killed' });
    await server.run();
    journal.add({ at: now(), who: 'server', do: 'listening' });
  },
};

/** Pushes them all; resolves with the number of attempts. `progress.accepted` counts. */
async function pushAll(backend, progress) {
  let next = 0;
  let attempts = 0;
  const run = async () => {
    while (next < PUSHES) {
      const n = next++;
      const tried = await backend.pushUntilAccepted([{ n, channels: ['chat'] }]);
      attempts += tried;
      progress.accepted++;
    }
  };
  await Promise.all(Array.from({ length: BACKENDS }, run));
  return attempts;
}

for (const store of STORES) {
  const what = store === 'disk' ? 'kills' : 'cuts';
  test(`${PUSHES} pushes with keys through ${ENDS} ${what} are dispatched once each`, { timeout: MS_MAX }, async (t) => {
    const limits = { idempotency_keys: 2 * PUSHES, idempotency_bytes: 512 * 2 ** 20 };
    const sse = { query_credentials: true, retry: '50ms' };
    const server = await start(t, { recovery: { replay: 50_000 }, limits, sse, log: logOf(t, store) });
    const relay = await relayTo(t, server);
    const journal = new History();
    const backend = new Backend(journal, 'backend', relay.url);
    const client = new EventSourceClient(journal, 'c0', server.url, { user: 'adam', channels: ['chat'] });
    afterwards(t, () => backend.close());
    afterwards(t, () => client.close());
    await client.ready();
    const progress = { accepted: 0 };
    const pushing = pushAll(backend, progress);
    // It is awaited below; a run that fails before that has told its reason.
    pushing.catch(() => {});
    for (let end = 1; end <= ENDS; end++) {
      await until(() => progress.accepted >= (end * PUSHES) / (ENDS + 1), () => `pushes after ${progress.accepted}`, MS_MAX);
      await BREAK[store]({ server, relay, journal });
    }
    const attempts = await pushing;
    await until(() => client.heard.size === PUSHES, () => `${PUSHES} events, of which ${client.heard.size} came`, 60_000);
    const { findings, figures } = check(journal, store);
    t.diagnostic(JSON.stringify({ ...figures, attempts }));
    assert.deepEqual(findings.slice(0, 10), []);
    assert.deepEqual([figures.deliveries, figures.gaps], [PUSHES, 0]);
    assert.ok(attempts > PUSHES, 'no answer was broken');
  });
}
