'use strict';
// The long form of the tests in this folder: `npm run lost -- --rounds 1000 --pushes 100000 --store disk`.

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { ENDS } = require('./ends');

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    pushes: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '10' },
    store: { type: 'string', default: 'memory,disk' },
    sync: { type: 'string', default: 'interval' },
  },
});
const env = {
  ...process.env,
  LOST_ROUNDS: String(Math.ceil(Number(values.rounds) / ENDS.length)),
  LOST_STORE: values.store,
  LOST_SYNC: values.sync,
  KEYS_PUSHES: values.pushes,
  KEYS_ENDS: values.kills,
};
const files = ['checker', 'ends', 'keys'].map((name) => path.join(__dirname, `${name}.test.js`));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=1', ...files], { stdio: 'inherit', env });
process.exitCode = status ?? 1;
