'use strict';
// Event streams with an `EventSource` from npm, which behaves as browsers do.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { EventSource } = require('eventsource');
const { afterwards } = require('./afterwards');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
// How soon clients come back: after this time, or up to twice as long.
const CONFIG = { sse: { retry: '50ms', heartbeat: '100ms' } };

/** The events with these names that a page receives. */
function listen(t, url, names, options) {
  const source = new EventSource(url, options);
  afterwards(t, () => source.close());
  const heard = [];
  let opened = 0;
  source.onopen = () => (opened += 1);
  for (const name of names) {
    source.addEventListener(name, ({ type, data, lastEventId }) => heard.push({ type, data, lastEventId }));
  }
  return { source, heard, opened: () => opened };
}

describe('an EventSource', LIMITS, () => {
  test('receives events of its channels and its user, and broadcasts', async (t) => {
    const server = await start(t, { sse: { query_credentials: true } });
    const page = listen(t, `${server.url}/sse?channel=chat&user=adam`, ['E', 'turted:error']);
    await until(() => page.opened() === 1);
    await server.emit('E', { channels: ['chat', 'elsewhere'] }, { text: 'é€😀\u2028' });
    await server.emit('E', { users: ['eve'] }, 'not for adam');
    await server.emit('error', { users: ['adam'] }, 1);
    await server.emit('E', { broadcast: true }, 2);
    await until(() => page.heard.length === 3);
    assert.deepEqual(
      page.heard.map(({ type, data }) => [type, JSON.parse(data)]),
      [['E', { text: 'é€😀\u2028' }], ['turted:error', 1], ['E', 2]],
    );
  });

  test('that is cut off comes back by itself and has missed nothing', async (t) => {
    const server = await start(t, CONFIG);
    const proxy = await proxyTo(t, server);
    const page = listen(t, `${proxy.url}/sse?channel=chat`, ['E', 'turted:gap']);
    await until(() => page.opened() === 1);
    const numbers = [...Array(20).keys()];
    for (const number of numbers) {
      await server.emit('E', { channels: ['chat'] }, number);
      if (number % 5 !== 0) continue;
      await until(() => page.heard.length > number);
      proxy.drop();
      setTimeout(() => proxy.restore(), 100);
    }
    await until(() => page.heard.length === 20, () => JSON.stringify(page.heard));
    assert.deepEqual(page.heard.map(({ data }) => Number(data)), numbers);
    assert.ok(page.opened() > 3, `${page.opened()} connections`);
  });

  test('outlives a server that stops, and is told that it may have missed something', async (t) => {
    const server = await start(t, CONFIG);
    const page = listen(t, `${server.url}/sse?channel=chat`, ['E', 'turted:gap']);
    await until(() => page.opened() === 1);
    // This client takes its position only from events.
    await server.emit('E', { channels: ['chat'] }, 1);
    await until(() => page.heard.length === 1);
    assert.equal(await server.stop(), 0);
    await server.run();
    await until(() => page.heard.length === 2, () => `the event turted:gap among ${JSON.stringify(page.heard)}`);
    assert.equal(page.heard[1].type, 'turted:gap');
    await server.emit('E', { channels: ['chat'] }, 2);
    await until(() => page.heard.length === 3);
    assert.equal(page.heard[2].data, '2');
  });
});
