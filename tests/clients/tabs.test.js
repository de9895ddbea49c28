'use strict';
// Pages with the client library in Chromium: tabs that are duplicated, cut off, frozen, left and entered again, and
// components of React.

const assert = require('node:assert/strict');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const esbuild = require('esbuild');
const { afterwards } = require('./afterwards');
const { Browser, until } = require('./browser/chromium');
const { DemoPage } = require('./browser/demo');
const { isStopped, renderers } = require('./browser/renderers');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const waiting = require('./waiting');

const LIMITS = { timeout: 60_000 };
const MISSED = 20;
const JSON_ANSWER = { Accept: 'application/json' };

const browser = new Browser();
// Without it, no page is kept for the way back.
const WITH_BACK_FORWARD_CACHE = { ignoreDefaultArgs: ['--disable-back-forward-cache'] };
before(async () => {
  await browser.launch(WITH_BACK_FORWARD_CACHE);
  const { outputFiles } = esbuild.buildSync({
    entryPoints: [path.join(__dirname, 'browser/react.js')],
    bundle: true,
    write: false,
    // Only there does StrictMode run effects twice.
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  browser.scripts.set('/react.js', outputFiles[0].text);
}, LIMITS);
after(() => browser.close());

/** Pushes to the channel of the demo, and returns how many connections it reached. */
async function push(server, event, payload) {
  const { status, body } = await server.push({ event, targets: { channels: ['chat'] }, payload }, JSON_ANSWER);
  assert.equal(status, 200);
  return JSON.parse(body).delivered;
}

/** Pushes numbers while the page is away, and checks that it shows each of them once and in order when it is back. */
async function missesNothing(server, demo, comeBack) {
  const numbers = Array.from({ length: MISSED }, (_, number) => String(number));
  for (const number of numbers) await push(server, 'N', Number(number));
  await comeBack();
  await demo.state('connected');
  await push(server, 'LAST');
  const events = (await demo.eventsUntil('LAST')).filter(({ event }) => event !== 'GONE');
  assert.deepEqual(events.map(({ text }) => text), [...numbers, '{}']);
  assert.deepEqual((await demo.rows()).filter(({ event }) => event === undefined), [], 'nothing is said to be missed');
}

/** Stops all pages of the browser, as a laptop does whose lid is closed. Returns what continues them. */
async function freeze(t) {
  const pids = renderers(browser.directory);
  assert.ok(pids.length > 0);
  const thaw = () => pids.forEach((pid) => isStopped(pid) && process.kill(pid, 'SIGCONT'));
  afterwards(t, thaw);
  pids.forEach((pid) => process.kill(pid, 'SIGSTOP'));
  await waiting.until(() => pids.every(isStopped), 'the renderers have stopped');
  return thaw;
}

/** What the page sends over WebSockets, and how many it opens. */
function overhear(page) {
  const heard = { sockets: 0, sent: [] };
  page.on('websocket', (socket) => {
    heard.sockets++;
    socket.on('framesent', ({ payload }) => heard.sent.push(JSON.parse(payload)));
  });
  heard.count = (command) => heard.sent.filter((message) => message.do === command).length;
  return heard;
}

describe('a page with the client library', { concurrency: false }, () => {
  test('that is duplicated is two clients, each with its own session', LIMITS, async (t) => {
    const server = await start(t);
    const first = await DemoPage.open(t, browser, server.url);
    const opened = first.page.waitForEvent('popup');
    // As for a duplicate, the new tab gets a copy of all that is stored for the session.
    await first.page.evaluate(() => {
      sessionStorage.setItem('mark', 'copied');
      window.open(location.href);
    });
    const second = new DemoPage(await opened);
    afterwards(t, () => second.page.close());
    await second.ready();
    assert.equal(await second.page.evaluate(() => sessionStorage.getItem('mark')), 'copied');
    assert.equal(await push(server, 'BOTH'), 2);
    await first.page.reload();
    await first.ready();
    assert.equal(await push(server, 'AGAIN'), 2);
    assert.deepEqual((await first.eventsUntil('AGAIN')).map(({ event }) => event), ['AGAIN']);
    assert.deepEqual((await second.eventsUntil('AGAIN')).map(({ event }) => event), ['BOTH', 'AGAIN']);
    second.assertSilent();
  });

  test('in two tabs as two users tells them apart', LIMITS, async (t) => {
    const server = await start(t);
    const adam = await DemoPage.open(t, browser, server.url);
    const eve = await DemoPage.open(t, browser, server.url, '?user=eve');
    assert.match(await adam.push({ event: 'SECRET', users: 'eve', channels: '' }), /"delivered":1/);
    assert.match(await adam.push({ event: 'OPEN', users: '', channels: 'chat' }), /"delivered":2/);
    const reasons = async (demo) => (await demo.eventsUntil('OPEN')).map(({ reason }) => reason);
    assert.deepEqual([await reasons(adam), await reasons(eve)], [['by channel chat'], ['by user eve', 'by channel chat']]);
  });

  test('that was cut off gets what it missed, once and in order', LIMITS, async (t) => {
    const server = await start(t);
    const proxy = await proxyTo(t, server);
    const demo = await DemoPage.open(t, browser, proxy.url);
    proxy.drop();
    await until(demo.page, () => document.getElementById('state').dataset.state !== 'connected');
    await missesNothing(server, demo, () => proxy.restore());
  });

  test('whose machine is offline says so, and is back as soon as the machine is', LIMITS, async (t) => {
    const server = await start(t);
    const proxy = await proxyTo(t, server);
    const demo = await DemoPage.open(t, browser, proxy.url);
    afterwards(t, () => browser.context.setOffline(false));
    await browser.context.setOffline(true);
    assert.equal(await demo.page.getAttribute('#state', 'data-state'), 'connected', 'its connection may still live');
    assert.equal(await demo.page.evaluate(() => navigator.onLine), false);
    proxy.drop();
    await demo.state('offline');
    await missesNothing(server, demo, async () => {
      proxy.restore();
      await browser.context.setOffline(false);
    });
  });

  test('that was frozen gets what came meanwhile, once and in order', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await DemoPage.open(t, browser, server.url);
    const thaw = await freeze(t);
    await missesNothing(server, demo, thaw);
  });

  test('that was cut off while it was frozen gets what it missed', LIMITS, async (t) => {
    const server = await start(t);
    const proxy = await proxyTo(t, server);
    const demo = await DemoPage.open(t, browser, proxy.url);
    const thaw = await freeze(t);
    proxy.drop();
    await missesNothing(server, demo, () => {
      proxy.restore();
      thaw();
    });
  });

  test('that is left is no client any more, and gets what it missed when it is entered again', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await DemoPage.open(t, browser, server.url);
    await demo.page.evaluate(() => addEventListener('pageshow', ({ persisted }) => (window.persisted = persisted)));
    await demo.page.goto(browser.origin);
    // A page that the browser keeps can receive nothing, so it must not look as if it did.
    while ((await push(server, 'GONE')) > 0);
    await missesNothing(server, demo, () => demo.page.goBack({ waitUntil: 'commit' }));
    assert.equal(await demo.page.evaluate(() => window.persisted), true, 'the page was kept for the way back');
  });

  for (const options of [[], ['isolated']]) {
    test(`of another origin loads it from the server${options.length > 0 ? ' although it is isolated' : ''}`, LIMITS, async (t) => {
      const server = await start(t);
      const page = await browser.page(t, [`${server.url}/turted.js`], ...options);
      await page.evaluate((url) => {
        window.heard = [];
        window.turted = new TURTED(url);
        turted.on('HELLO', (payload) => heard.push(payload));
        return turted.join('chat');
      }, server.url);
      assert.equal(await push(server, 'HELLO', 1), 1);
      await until(page, () => heard[0] === 1);
      const blank = await browser.page(t, [], ...options);
      const imported = (url) => import(url).then(() => typeof TURTED);
      assert.equal(await blank.evaluate(imported, `${server.url}/turted.js`), 'function');
    });
  }

  test('of React in StrictMode joins once, and leaves with its last component', LIMITS, async (t) => {
    const server = await start(t);
    const page = await browser.page(t, [`${server.url}/turted.js`, '/react.js']);
    const heard = overhear(page);
    await page.evaluate((url) => window.open('shared', url), server.url);
    await waiting.until(() => heard.count('join') > 0);
    await server.emit('N', { channels: ['chat'] }, 1);
    for (const id of ['one', 'two']) await until(page, (id) => document.getElementById(id).textContent === '1', id);
    assert.deepEqual([heard.sockets, heard.count('join'), heard.count('leave')], [1, 1, 0]);
    await page.evaluate(() => window.show(['two']));
    await server.emit('N', { channels: ['chat'] }, 2);
    await until(page, () => document.getElementById('two').textContent === '1 2');
    assert.equal(heard.count('leave'), 0);
    await page.evaluate(() => window.unmount());
    await waiting.until(() => heard.count('leave') === 1);
    assert.equal(await push(server, 'N', 3), 0);
  });

  test('of React in StrictMode connects once, although its effects run twice', LIMITS, async (t) => {
    const server = await start(t);
    const page = await browser.page(t, [`${server.url}/turted.js`, '/react.js']);
    const said = [];
    page.on('console', (message) => message.type() !== 'info' && said.push(message.text()));
    const heard = overhear(page);
    await page.evaluate((url) => window.open('own', url), server.url);
    await waiting.until(() => heard.count('join') > 0);
    await server.emit('N', { channels: ['chat'] }, 1);
    await until(page, () => document.getElementById('one').textContent === '1');
    assert.deepEqual([heard.sockets, heard.count('join'), heard.count('leave')], [1, 1, 0]);
    assert.deepEqual(said, []);
  });
});
