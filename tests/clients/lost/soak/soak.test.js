'use strict';
// The short form of the soak: a minute, two kills and a stop of 3 s. `just soak` is the long one.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { STORES, SYNC } = require('../stores');

const MS_MAX = 300_000;

// One minute is enough for one of them: the disk, where there is one.
for (const store of STORES.slice(-1)) {
  test(`a minute of kills, a stop and cuts loses nothing that is not told, with the log in ${store}`, { timeout: MS_MAX }, async (t) => {
    const args = [path.join(__dirname, 'soak.js'), '--short', '--store', store, '--sync', SYNC];
    const { stdout, code = 0 } = await promisify(execFile)(process.execPath, args).catch((error) => error);
    t.diagnostic(stdout);
    assert.equal(code, 0, stdout);
  });
}
