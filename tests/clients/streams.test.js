'use strict';
// Backends that push through a stream of Redis.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const Redis = require('ioredis');
const { afterwards } = require('./afterwards');
const { startRedis } = require('./redis');
const { start } = require('./server');
const { CELLS, open } = require('./tab');

const LIMITS = { timeout: 30_000 };
const PYTHON = path.resolve(__dirname, process.env.CLIENTS_PYTHON || '../../target/python/bin/python');
const IN_PYTHON = `
import json, redis, sys
push = {"event": "PYTHON", "targets": {"users": ["adam"]}, "payload": {"text": "é"}}
redis.Redis(port=int(sys.argv[1])).xadd("events", {"push": json.dumps(push)})
`;

test('PHP, Python and node push through a stream', LIMITS, async (t) => {
  const run = promisify(execFile);
  const port = await startRedis(t);
  const source = { name: 'events', type: 'redis-stream', url: `redis://127.0.0.1:${port}`, stream: 'events', from: 'start' };
  const server = await start(t, { sources: [source] });
  const redis = new Redis(port, '127.0.0.1');
  afterwards(t, () => redis.disconnect());
  const tab = open(t, CELLS[1], server.url);
  await tab.ident('adam');
  await run('php', [path.join(__dirname, 'php', 'stream.php'), String(port), 'PHP', '{"n": 7}', 'eve', 'adam']);
  await tab.event('PHP');
  await run(PYTHON, ['-c', IN_PYTHON, String(port)]);
  await tab.event('PYTHON');
  await redis.xadd('events', '*', 'event', 'NODE', 'broadcast', '1');
  await tab.event('NODE');
  const heard = tab.events.map(({ event, payload }) => [event, payload]);
  assert.deepEqual(heard, [['PHP', { n: 7 }], ['PYTHON', { text: 'é' }], ['NODE', {}]]);
});
