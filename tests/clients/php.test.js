'use strict';
// The backend that turted was made for: PHP pushes, and a page receives.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { start } = require('./server');
const { CELLS, open } = require('./tab');

const LIMITS = { timeout: 30_000 };
const BUNDLE = path.join(__dirname, 'php', 'bundle.php');
const PASSWORD = 'IamAllowed2PUSH!!!';
const BY_PASSWORD = { push: { method: 'password', password: PASSWORD } };

/** Runs one push in PHP: `{ code, answer, warning }`. */
function bundle(server, targets, payload = {}, password = PASSWORD) {
  const args = [BUNDLE, `${server.url}/push/`, password, 'E', JSON.stringify(targets), JSON.stringify(payload)];
  return new Promise((resolve, reject) => {
    execFile('php', args, (error, answer, warning) => {
      if (error?.code === 'ENOENT') {
        reject(new Error('php is not on the PATH; install it with: apt-get install --no-install-recommends php-cli'));
      } else {
        resolve({ code: error ? error.code : 0, answer, warning });
      }
    });
  });
}

async function page(t, server, name) {
  const tab = open(t, CELLS[1], server.url);
  await tab.ident(name);
  return tab;
}

/** The payloads of `E` that each tab has received, after a marker behind them has arrived. */
async function heard(server, ...tabs) {
  await server.emit('END', { broadcast: true });
  await Promise.all(tabs.map((tab) => tab.event('END')));
  return tabs.map((tab) => tab.events.filter(({ event }) => event === 'E').map(({ payload }) => payload));
}

describe('a push from PHP', { concurrency: true }, () => {
  test('is accepted and delivered as PHP wrote it', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const tab = await page(t, server, 'alice');
    const payload = { msg: 'é/x', list: [1, 2], none: null };
    assert.deepEqual(await bundle(server, { users: ['alice'] }, payload), { code: 0, answer: 'OK', warning: '' });
    assert.deepEqual(await heard(server, tab), [[payload]]);
  });

  test('with a wrong password fails in PHP too', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const tab = await page(t, server, 'alice');
    const { code, answer, warning } = await bundle(server, { users: ['alice'] }, {}, 'guess');
    assert.deepEqual([code, answer], [1, '']);
    assert.match(warning, /HTTP\/1\.[01] 401 Unauthorized/);
    assert.deepEqual(await heard(server, tab), [[]]);
  });

  test('reaches the users of an array with gaps', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const tabs = [await page(t, server, 'ann'), await page(t, server, 'eve'), await page(t, server, 'bob')];
    const { answer } = await bundle(server, { users: { 0: 'ann', 2: 'bob' } }, { n: 1 });
    assert.equal(answer, 'OK');
    assert.deepEqual(await heard(server, ...tabs), [[{ n: 1 }], [], [{ n: 1 }]]);
  });

  for (const targets of [{}, { users: [] }, { users: [], channels: [] }]) {
    test(`with the targets ${JSON.stringify(targets)} is accepted and reaches no page`, LIMITS, async (t) => {
      const server = await start(t, BY_PASSWORD);
      const tab = await page(t, server, 'alice');
      assert.equal((await bundle(server, targets)).answer, 'OK');
      assert.deepEqual(await heard(server, tab), [[]]);
    });
  }

  test('with an empty array as payload stays an array', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const tab = await page(t, server, 'alice');
    await bundle(server, { users: ['alice'] }, {});
    assert.deepEqual(await heard(server, tab), [[[]]]);
  });
});
