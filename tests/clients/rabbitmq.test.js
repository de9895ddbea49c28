'use strict';
// Backends in Python and PHP publish to RabbitMQ, and pages receive it.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');
const { test } = require('node:test');
const { startRabbitMq } = require('./rabbitmq');
const { start } = require('./server');
const { CELLS, open } = require('./tab');
const { openWebSocket } = require('./websocket');

const LIMITS = { timeout: 120_000 };
const PYTHON = path.resolve(__dirname, process.env.CLIENTS_PYTHON || '../../target/python/bin/python');

/** Runs a publisher. */
function publish([program, script], url, ...bodies) {
  return promisify(execFile)(program, [script, url, 'events', 'order.7.new', ...bodies]);
}

test('what pika and php-amqplib publish to an exchange of RabbitMQ reaches pages of Socket.IO and turted.v1', LIMITS, async (t) => {
  const url = await startRabbitMq(t);
  const source = { name: 'orders', type: 'rabbitmq', url, queue: 'turted', exchange: 'events', kind: 'topic', keys: ['order.#'] };
  const server = await start(t, { sources: [source] });
  const pages = [open(t, CELLS[1], server.url), open(t, CELLS[11], server.url), openWebSocket(t, server.url)];
  await Promise.all(pages.map((page) => page.join('shop')));
  const push = (event, payload) => JSON.stringify({ event, targets: { channels: ['shop'] }, payload });
  const first = { text: 'é', list: [1.5, null] };
  const bodies = [push('FIRST', first), 'no JSON', `[${push('SECOND', 2)},${push('THIRD', 3)}]`];
  const python = [PYTHON, path.join(__dirname, 'publish.py')];
  const php = ['php', path.join(__dirname, 'php', 'publish.php')];
  await publish(python, url, ...bodies);
  await publish(php, url, ...bodies, push('LAST', 4));
  for (const page of pages) {
    await page.event('LAST');
    const heard = page.events.map(({ event, payload }) => [event, payload]);
    const once = [['FIRST', first], ['SECOND', 2], ['THIRD', 3]];
    assert.deepEqual(heard, [...once, ...once, ['LAST', 4]]);
  }
  assert.match(server.output, /message refused.*source="orders".*rule="not-json"/);
  assert.match(server.output, /sources\n {2}orders +rabbitmq amqp:\/\/127\.0\.0\.1:\d+ turted/);
  assert.doesNotMatch(server.output, /guest/);
});
