'use strict';
// Emitters of Socket.IO as they are on npm and PyPI, and one for PHP, push to every client through Redis.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { Emitter } = require('@socket.io/redis-emitter');
const Redis = require('ioredis');
const { afterwards } = require('./afterwards');
const { startRedis } = require('./redis');
const { start } = require('./server');
const { CELLS, open } = require('./tab');
const { until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
const PYTHON = path.resolve(__dirname, process.env.CLIENTS_PYTHON || '../../target/python/bin/python');

/** A server that listens to emitters, and a page in the channel `chat`. */
async function listening(t) {
  const port = await startRedis(t);
  const source = {
    name: 'emitters',
    type: 'redis-pubsub',
    url: `redis://127.0.0.1:${port}`,
    patterns: ['socket.io#/#*'],
    format: 'socketio-emitter',
  };
  const server = await start(t, { sources: [source] });
  const redis = new Redis(port, '127.0.0.1');
  afterwards(t, () => redis.disconnect());
  await until(async () => (await redis.pubsub('NUMPAT')) === 1, () => `a subscriber: ${server.output}`);
  const tab = open(t, CELLS[1], server.url);
  await tab.join('chat');
  return { port, server, redis, tab };
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, output, errors) => (error ? reject(new Error(`${error}${errors}`)) : resolve(output)));
  });
}

describe('an emitter of Socket.IO', { concurrency: true }, () => {
  test('for node reaches rooms and everyone', LIMITS, async (t) => {
    const { server, redis, tab } = await listening(t);
    const io = new Emitter(redis);
    const payload = { text: 'é', list: [1.5, -3, null, true], at: new Date(0) };
    io.to('chat').emit('ONE', payload);
    io.to('other').emit('NONE', 1);
    io.to(['chat', 'other']).volatile.emit('TWO', 'x'.repeat(70_000));
    io.except('chat').emit('REFUSED', 1);
    io.of('/admin').to('chat').emit('ELSEWHERE', 1);
    io.emit('THREE');
    await tab.event('THREE');
    const heard = tab.events.map(({ event, payload }) => [event, payload]);
    assert.deepEqual(heard, [
      ['ONE', { ...payload, at: '1970-01-01T00:00:00.000Z' }],
      ['TWO', 'x'.repeat(70_000)],
      ['THREE', {}],
    ]);
    // The log is written by a thread of its own.
    await until(() => /message refused.*emitter-except/.test(server.output), () => server.output);
  });

  test('for Python reaches each room once', LIMITS, async (t) => {
    const { port, tab } = await listening(t);
    const emit = (...args) => run(PYTHON, [path.join(__dirname, 'emitter.py'), String(port), ...args]);
    await emit('ONE', '{"text":"é","n":[1,2.5,null]}', 'chat', 'other');
    await emit('TWO', '[]');
    await tab.event('TWO');
    const heard = tab.events.map(({ event, payload }) => [event, payload]);
    assert.deepEqual(heard, [['ONE', { text: 'é', n: [1, 2.5, null] }], ['TWO', []]]);
  });

  test('for PHP reaches each room once', LIMITS, async (t) => {
    const { port, tab } = await listening(t);
    const emit = (...args) => run('php', [path.join(__dirname, 'php', 'emitter.php'), String(port), ...args]);
    await emit('ONE', '{"text":"é","n":[1,2.5,null],"big":-5000000000}', 'chat', 'other');
    await emit('TWO', '7');
    await tab.event('TWO');
    const heard = tab.events.map(({ event, payload }) => [event, payload]);
    assert.deepEqual(heard, [['ONE', { text: 'é', n: [1, 2.5, null], big: -5000000000 }], ['TWO', 7]]);
  });
});
