'use strict';
// Pages in a headless Chromium, whose origin is not that of the server.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { Browser, until } = require('./browser/chromium');
const { proxyTo } = require('./proxy');
const { start } = require('./server');

const LIMITS = { timeout: 60_000 };
const TEXTS = ['é€😀 "q" \\ end', 'line\u2028separator\u2029\n\r', '</script><!--', '\u200c\ufff0\uffff', ''];
const BURST = 50;
const MISSED = 20;

// The transports of sockjs-client that a current Chromium can use. `htmlfile` only works for pages of the
// server's origin.
const SOCKJS_TRANSPORTS = [
  'websocket',
  'xhr-streaming',
  'eventsource',
  'iframe-eventsource',
  'htmlfile',
  'iframe-htmlfile',
  'xhr-polling',
  'iframe-xhr-polling',
  'jsonp-polling',
];

const browser = new Browser();
before(() => browser.launch(), LIMITS);
after(() => browser.close());

const dist = (name) => path.join(__dirname, 'node_modules', name, 'dist');
const numbers = (count) => Array.from({ length: count }, (_, number) => number);
const heard = (page) => page.evaluate(() => tab.events);
const names = (events) => events.map(({ event }) => event);

/** Waits until the page has heard the event `name`. */
const event = (page, name) => until(page, (wanted) => tab.events.some((event) => event.event === wanted), name);

/** What a page does: it identifies itself, joins, echoes, and receives each event once and in order. */
async function day(server, page) {
  await page.evaluate(() => Promise.all([tab.ident('adam'), tab.join('chat')]));
  for (const text of TEXTS) await page.evaluate((data) => tab.echo(data), text);
  await server.emit('BOTH', { users: ['adam'], channels: ['chat'] }, TEXTS);
  await server.emit('OTHER', { users: ['eve'], channels: ['elsewhere', 'late'] });
  await page.evaluate(() => tab.join('late'));
  await server.emit('LATE', { channels: ['late'] }, { n: 1 });
  for (const number of numbers(BURST)) await server.emit('N', { channels: ['chat'] }, number);
  await server.emit('END', { broadcast: true }, null);
  await event(page, 'END');
  const expected = [
    { event: 'BOTH', payload: TEXTS, via: { user: 'adam' } },
    { event: 'LATE', payload: { n: 1 }, via: { channel: 'late' } },
    ...numbers(BURST).map((payload) => ({ event: 'N', payload, via: { channel: 'chat' } })),
    { event: 'END', payload: null, via: { broadcast: true } },
  ];
  assert.deepEqual(await heard(page), expected);
  await page.evaluate(() => tab.events.splice(0));
}

/** Drops the connection of the page, does `meanwhile`, and waits until it is back. */
async function away(page, proxy, meanwhile) {
  const losses = await page.evaluate(() => tab.losses);
  proxy.drop();
  await until(page, (before) => tab.losses > before, losses);
  await meanwhile();
  proxy.restore();
  await until(page, () => tab.isReady);
}

/** Checks that a page that was away receives what it missed in `chat`, once and in order. */
async function missesNothing(server, page, proxy) {
  await away(page, proxy, async () => {
    for (const number of numbers(MISSED)) await server.emit('N', { channels: ['chat'] }, number);
  });
  await server.emit('LAST', { channels: ['chat'] });
  await event(page, 'LAST');
  const events = await heard(page);
  assert.deepEqual(names(events), [...numbers(MISSED).map(() => 'N'), 'LAST']);
  assert.deepEqual(events.slice(0, -1).map(({ payload }) => payload), numbers(MISSED));
}

describe('Chromium', { concurrency: false }, () => {
  for (const name of ['socket.io-client-1', 'socket.io-client-2', 'socket.io-client-4']) {
    test(`turted-client with ${name} from our server, without any option`, LIMITS, async (t) => {
      const server = await start(t, {}, { TURTED_ASSETS_DIR: dist(name) });
      const proxy = await proxyTo(t, server);
      const page = await browser.page(t, [`${proxy.url}/socket.io/socket.io.js`, '/turted.js', '/page.js']);
      await page.evaluate((url) => (window.tab = openTurted(url)), proxy.url);
      await until(page, () => tab.transport === 'websocket');
      await day(server, page);
      if (name === 'socket.io-client-4') return missesNothing(server, page, proxy);
      await away(page, proxy, () => server.emit('MISSED', { users: ['adam'] }));
      // turted-client identifies itself and joins before this echo.
      await page.evaluate(() => tab.echo('back'));
      await server.emit('AGAIN', { users: ['adam'] });
      await event(page, 'AGAIN');
      assert.deepEqual(names(await heard(page)), ['AGAIN']);
    });
  }

  // Pages read and write bytes in other ways than node, and each of these ways differs from 1.x to 2.x.
  for (const name of ['socket.io-client-1', 'socket.io-client-2']) {
    for (const options of [{}, { forceBase64: true }, { forceJSONP: true }]) {
      test(`${name} over polling alone with ${JSON.stringify(options)}`, LIMITS, async (t) => {
        const server = await start(t, {}, { TURTED_ASSETS_DIR: dist(name) });
        const page = await browser.page(t, [`${server.url}/socket.io/socket.io.js`, '/turted.js', '/page.js']);
        const polling = { transports: ['polling'], ...options };
        await page.evaluate(([url, options]) => (window.tab = openTurted(url, options)), [server.url, polling]);
        await until(page, () => tab.isReady);
        await day(server, page);
        const large = ['a'.repeat(200_000), 'ö'.repeat(200_000)];
        for (const text of large) await server.emit('LARGE', { users: ['adam'] }, text);
        await until(page, () => tab.events.length === 2);
        assert.deepEqual((await heard(page)).map(({ payload }) => payload), large);
      });
    }
  }

  test('an isolated page loads the client from our server, as a script, a module and with its hash', LIMITS, async (t) => {
    const server = await start(t, {}, { TURTED_ASSETS_DIR: dist('socket.io-client-4') });
    const file = fs.readFileSync(path.join(dist('socket.io-client-4'), 'socket.io.min.js'));
    const integrity = `sha384-${crypto.createHash('sha384').update(file).digest('base64')}`;
    const page = await browser.page(t, [`${server.url}/socket.io/socket.io.js`, '/turted.js', '/page.js'], 'isolated');
    assert.equal(await page.evaluate(() => typeof io), 'function');
    const module = `${server.url}/socket.io/socket.io.esm.min.js`;
    assert.equal(await page.evaluate(async (url) => typeof (await import(url)).io, module), 'function');
    const loaded = await page.evaluate(([src, integrity]) => new Promise((resolve) => {
      const script = Object.assign(document.createElement('script'), { src, integrity, crossOrigin: 'anonymous' });
      script.onload = () => resolve('loaded');
      script.onerror = () => resolve('refused');
      document.head.append(script);
    }), [`${server.url}/socket.io/socket.io.min.js`, integrity]);
    assert.equal(loaded, 'loaded');
    await page.evaluate((url) => (window.tab = openTurted(url)), server.url);
    await day(server, page);
  });

  test('an isolated page polls with scripts', LIMITS, async (t) => {
    const server = await start(t, {}, { TURTED_ASSETS_DIR: dist('socket.io-client-2') });
    const page = await browser.page(t, [`${server.url}/socket.io/socket.io.js`, '/turted.js', '/page.js'], 'isolated');
    const options = { transports: ['polling'], forceJSONP: true };
    await page.evaluate(([url, options]) => (window.tab = openTurted(url, options)), [server.url, options]);
    await until(page, () => tab.isReady);
    await server.emit('ALL', { broadcast: true });
    await event(page, 'ALL');
  });

  test('a WebSocket that speaks turted.v1 and resumes', LIMITS, async (t) => {
    const server = await start(t);
    const proxy = await proxyTo(t, server);
    const page = await browser.page(t, ['/v1.js', '/page.js']);
    await page.evaluate((url) => (window.tab = openWebSocket(url)), proxy.url);
    await day(server, page);
    await missesNothing(server, page, proxy);
    assert.deepEqual(await page.evaluate(() => [tab.client.socket.protocol, tab.client.resumed]), ['turted.v1', 1]);
  });

  test('an EventSource comes back by itself, and misses nothing', LIMITS, async (t) => {
    const server = await start(t, { sse: { retry: '100ms' } });
    const proxy = await proxyTo(t, server);
    const page = await browser.page(t, ['/page.js']);
    await page.evaluate((url) => (window.tab = openEventSource(url, 'channel=log&channel=chat', ['N', 'LAST', 'ALL'])), proxy.url);
    await until(page, () => tab.isReady);
    await server.emit('ALL', { broadcast: true }, TEXTS);
    await server.emit('error', { channels: ['chat', 'log'] }, 1);
    await event(page, 'turted:error');
    assert.deepEqual(await page.evaluate(() => tab.events.splice(0)), [
      { event: 'ALL', payload: TEXTS },
      { event: 'turted:error', payload: 1 },
    ]);
    await missesNothing(server, page, proxy);
    await page.evaluate(() => tab.events.splice(0));
    await missesNothing(server, page, proxy);
  });

  test('an EventSource is told that a server started anew cannot know what it missed', LIMITS, async (t) => {
    const server = await start(t, { sse: { retry: '100ms' } });
    const page = await browser.page(t, ['/page.js']);
    await page.evaluate((url) => (window.tab = openEventSource(url, 'channel=chat', ['FIRST', 'AGAIN'])), server.url);
    await until(page, () => tab.isReady);
    await server.emit('FIRST', { channels: ['chat'] });
    await event(page, 'FIRST');
    await server.restart();
    await event(page, 'turted:gap');
    await server.emit('AGAIN', { channels: ['chat'] });
    await event(page, 'AGAIN');
    assert.deepEqual(names(await heard(page)), ['FIRST', 'turted:gap', 'AGAIN']);
  });

  test('an EventSource says who it is in its query, where that is allowed', LIMITS, async (t) => {
    const server = await start(t, { sse: { query_credentials: true } });
    const page = await browser.page(t, ['/page.js']);
    await page.evaluate((url) => (window.tab = openEventSource(url, 'user=adam&envelope=1', [])), server.url);
    await until(page, () => tab.isReady);
    await server.emit('OTHER', { users: ['eve'] });
    await server.emit('NEWS', { users: ['adam'] }, 1);
    await event(page, 'message');
    assert.deepEqual((await heard(page))[0].payload, { event: 'NEWS', payload: 1, via: { user: 'adam' } });
  });

  test('a page of an origin that is not allowed hears nothing', LIMITS, async (t) => {
    const server = await start(t, {}, { TURTED_ALLOW_ORIGINS: 'https://example.com' });
    const page = await browser.page(t, ['/page.js']);
    await page.evaluate((url) => (window.tab = openEventSource(url, 'channel=chat', [])), server.url);
    await until(page, () => tab.losses === 1);
    assert.equal(await page.evaluate(() => tab.source.readyState), 2);
    const code = await page.evaluate(
      (url) => new Promise((resolve) => (new WebSocket(url).onclose = (event) => resolve(event.code))),
      `${server.url.replace('http', 'ws')}/ws`,
    );
    assert.equal(code, 1006);
  });

  for (const transport of SOCKJS_TRANSPORTS.filter((name) => name.startsWith('iframe-'))) {
    test(`sockjs-client over ${transport}, whose page is the server's, where only one origin may connect`, LIMITS, async (t) => {
      const env = { TURTED_ASSETS_DIR: dist('sockjs-client'), TURTED_ALLOW_ORIGINS: browser.origin };
      const server = await start(t, {}, env);
      const page = await browser.page(t, ['/sockjs.js', '/v1.js', '/page.js']);
      await page.evaluate(([url, name]) => (window.tab = openSockJs(url, name)), [server.url, transport]);
      await day(server, page);
      assert.equal(await page.evaluate(() => tab.transport), transport);
    });
  }

  for (const transport of SOCKJS_TRANSPORTS) {
    test(`sockjs-client over ${transport}`, LIMITS, async (t) => {
      const server = await start(t, {}, { TURTED_ASSETS_DIR: dist('sockjs-client') });
      const scripts = ['/sockjs.js', '/v1.js', '/page.js'];
      const page =
        transport === 'htmlfile'
          ? await browser.pageAt(t, `${server.url}/turted/`, scripts)
          : await browser.page(t, scripts);
      await page.evaluate(([url, name]) => (window.tab = openSockJs(url, name)), [server.url, transport]);
      await day(server, page);
      assert.equal(await page.evaluate(() => tab.transport), transport);
    });
  }
});
