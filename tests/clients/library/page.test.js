'use strict';
// @turted/client in pages and workers of a headless Chromium.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { afterwards } = require('../afterwards');
const { Browser, until } = require('../browser/chromium');
const { start } = require('../server');
const { relayTo } = require('./relay');

const LIMITS = { timeout: 90_000 };
const browser = new Browser();

// Playwright turns the cache of the back button off, which this file is about.
before(() => browser.launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] }), { timeout: 90_000 });
after(() => browser.close());

/** Opens a client in `page` that is adam and in `chat`, and records what it tells. */
async function opened(page, url, options = {}) {
  await page.evaluate(
    async ([url, options]) => {
      window.turted = new TURTED(url, { ident: { username: 'adam' }, retry: { min: 50 }, ...options });
      Object.assign(window, { payloads: [], states: [], gaps: 0, errors: [] });
      turted.on('*', (payload) => payloads.push(payload));
      turted.onState((state, { code }) => states.push(code === undefined ? state : `${state} ${code}`));
      turted.onGap(() => gaps++);
      turted.onError((error) => errors.push(`${error.code}: ${error.reason}: ${error.rule}`));
      turted.join('chat').catch(() => {});
    },
    [url, options],
  );
}

const push = (server, payload) => server.emit('N', { channels: ['chat'] }, payload);
const heard = (page, payload) => until(page, (payload) => payloads.includes(payload), payload);
const connected = (page) => until(page, () => turted.state === 'connected');

describe('a page in Chromium', { concurrency: false }, () => {
  for (const transport of ['websocket', 'sockjs']) {
    test(`hears events over ${transport} from a server of another origin, and prints nothing`, LIMITS, async (t) => {
      const server = await start(t);
      const page = await browser.page(t, ['/client.js']);
      const printed = [];
      page.on('console', (message) => message.location().url.endsWith('/favicon.ico') || printed.push(message.text()));
      await opened(page, server.url, { transports: [transport] });
      await page.evaluate(() => turted.echo('x'.repeat(50_000)));
      await push(server, 1);
      await heard(page, 1);
      assert.deepEqual(await page.evaluate(() => [payloads, states, gaps, errors]), [[1], ['connecting', 'connected'], 0, []]);
      await page.evaluate(() => turted.close());
      await until(page, () => turted.state === 'closed');
      assert.deepEqual(printed, []);
    });
  }

  test('has the global TURTED also if it imports the script', LIMITS, async (t) => {
    const page = await browser.page(t, []);
    const types = await page.evaluate(async (url) => {
      await import(url);
      return [typeof TURTED, typeof TURTED.TurtedError];
    }, `${browser.origin}/client.js`);
    assert.deepEqual(types, ['function', 'function']);
  });

  test('hears events in a worker', LIMITS, async (t) => {
    const server = await start(t);
    const page = await browser.page(t, []);
    await page.evaluate(
      ([script, url]) => {
        const code = `importScripts(${JSON.stringify(script)});
          const turted = new TURTED(${JSON.stringify(url)});
          turted.on('N', (payload) => postMessage(payload));
          turted.join('chat').then(() => postMessage('joined'));`;
        window.payloads = [];
        const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
        worker.onmessage = ({ data }) => payloads.push(data);
      },
      [`${browser.origin}/client.js`, server.url],
    );
    await heard(page, 'joined');
    await push(server, 7);
    await heard(page, 7);
  });

  test('learns that its origin may not connect, and which key says so', LIMITS, async (t) => {
    const server = await start(t, {}, { TURTED_ALLOW_ORIGINS: 'https://other.example' });
    const page = await browser.page(t, ['/client.js']);
    await opened(page, server.url);
    await until(page, () => errors.length > 0);
    const [error] = await page.evaluate(() => errors);
    assert.match(error, /^origin-refused: HTTP 403: .*allow_origins.*: allow_origins names/);
  });

  test('ends its connection when it goes into the cache of the back button, and goes on when it is back', LIMITS, async (t) => {
    const server = await start(t);
    const page = await browser.page(t, ['/client.js']);
    await opened(page, server.url);
    await connected(page);
    await page.evaluate(() => addEventListener('pageshow', (event) => (window.wasStored = event.persisted)));
    await page.goto(`${browser.origin}/?elsewhere`);
    await push(server, 'missed');
    // Such a page is not loaded again.
    await page.goBack({ waitUntil: 'commit' });
    await until(page, () => window.wasStored !== undefined);
    assert.equal(await page.evaluate(() => window.wasStored), true);
    await heard(page, 'missed');
    assert.deepEqual(await page.evaluate(() => [states, gaps, turted.recovered]), [
      ['connecting', 'connected', 'waiting pagehide', 'connecting', 'connected'],
      0,
      true,
    ]);
  });

  test('stays connected while the browser says it is offline, and waits no longer when it is online', LIMITS, async (t) => {
    const server = await start(t);
    const relay = await relayTo(t, server);
    const page = await browser.page(t, ['/client.js']);
    await opened(page, relay.url, { retry: { min: 60_000, max: 60_000 } });
    await connected(page);
    afterwards(t, () => browser.context.setOffline(false));
    await browser.context.setOffline(true);
    await until(page, () => !navigator.onLine);
    assert.equal(await page.evaluate(() => turted.state), 'connected');
    relay.cut();
    await until(page, () => turted.state === 'offline');
    await push(server, 2);
    await browser.context.setOffline(false);
    await heard(page, 2);
    assert.deepEqual(await page.evaluate(() => [states, gaps]), [
      ['connecting', 'connected', 'offline 1006', 'connecting', 'connected'],
      0,
    ]);
  });

  test('finds out within seconds that its connection is dead, when people look at it again', LIMITS, async (t) => {
    const server = await start(t);
    const relay = await relayTo(t, server);
    const page = await browser.page(t, ['/client.js']);
    await opened(page, relay.url);
    await connected(page);
    relay.swallow();
    await push(server, 'swallowed');
    // What a page hears when it is thawed; the browser freezes no page on command.
    await page.evaluate(() => document.dispatchEvent(new Event('resume')));
    await heard(page, 'swallowed');
    assert.deepEqual(await page.evaluate(() => [states, gaps]), [['connecting', 'connected', 'connecting', 'connected'], 0]);
  });

  test('is a client of its own in each of two tabs', LIMITS, async (t) => {
    const server = await start(t);
    const tabs = [await browser.page(t, ['/client.js']), await browser.page(t, ['/client.js'])];
    for (const page of tabs) await opened(page, server.url);
    for (const page of tabs) await connected(page);
    for (const page of tabs) await page.evaluate(() => turted.join('chat'));
    await push(server, 1);
    for (const page of tabs) await heard(page, 1);
    await tabs[0].reload();
    await push(server, 2);
    await heard(tabs[1], 2);
    assert.deepEqual(await tabs[1].evaluate(() => [payloads, states]), [[1, 2], ['connecting', 'connected']]);
  });
});
