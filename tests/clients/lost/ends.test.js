'use strict';
// Every kind of client through every kind of end, while backends push: everything once, in order and to the right client,
// or a gap that is told. LOST_ROUNDS says how often each end comes; `npm run lost` makes a thousand in all. LOST_STORE is
// where servers keep their logs.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { Browser } = require('../browser/chromium');
const { ENDS } = require('./ends');
const { Run } = require('./run');
const { logOf, STORES } = require('./stores');

const ROUNDS = Number(process.env.LOST_ROUNDS || 2);
const ROUND_MS_MAX = 60_000;

const browser = new Browser();
before(() => browser.launch());
after(() => browser.close());

for (const store of STORES) {
  describe(`with the log ${store === 'disk' ? 'on disk' : 'in memory'}`, () => {
    for (const { title, end, restarts = false, isQuiet } of ENDS) {
      // Without a disk a start forgets everything, so each client is told a gap.
      const isWhole = store === 'disk' || !restarts;
      const promise = isWhole ? 'is lost and no gap is told' : 'is lost that is not told';
      test(`nothing ${promise} in ${ROUNDS} rounds of ${title}`, { timeout: ROUNDS * ROUND_MS_MAX }, async (t) => {
        const run = new Run(t, { log: logOf(t, store) });
        await run.open();
        await run.enter(await browser.page(t, []));
        for (let round = 0; round < ROUNDS; round++) await run.disturb(end, { isQuiet });
        const { findings, figures } = run.verdict();
        t.diagnostic(JSON.stringify(figures));
        assert.deepEqual(findings.slice(0, 10), []);
        assert.ok(figures.returns >= ROUNDS * run.clients.length);
        if (isWhole) assert.equal(figures.gaps, 0);
        else assert.equal(figures.gaps, figures.returns);
      });
    }
  });
}
