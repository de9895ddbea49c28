'use strict';
// The examples that are pages, and the page of the README, opened from files in Chromium. In them stands the usual
// address of a server; the tests put that of theirs there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { Browser, until } = require('./browser/chromium');
const { start } = require('./server');

const LIMITS = { timeout: 60_000 };
const ROOT = path.resolve(__dirname, '../..');
const EXAMPLES = path.join(ROOT, 'examples');
const USUAL_URL = 'http://127.0.0.1:7117';
const EVIL = '<img src=x onerror="document.title=1">';

const browser = new Browser();
before(() => browser.launch(), LIMITS);
after(() => browser.close());

const read = (...parts) => fs.readFileSync(path.join(...parts), 'utf8');

/** Opens this HTML as a file that talks to the server. What it says in the console is in `page.said`. */
async function open(t, server, html) {
  assert.ok(html.includes(USUAL_URL));
  const file = path.join(server.directory, 'page.html');
  fs.writeFileSync(file, html.replaceAll(USUAL_URL, server.url));
  const page = await browser.blank(t);
  page.said = [];
  page.on('console', (message) => page.said.push(message.text()));
  await page.goto(`file://${file}`);
  return page;
}

/** Pushes to these targets until it has reached a connection: the page has joined. */
async function reach(server, targets, payload) {
  const push = { event: 'MESSAGE:NEW', targets, payload };
  let delivered = 0;
  while (delivered === 0) ({ delivered } = JSON.parse((await server.push(push, { Accept: 'application/json' })).body));
}

const shows = (page, text) => until(page, (text) => document.body.innerText.includes(text), text);

describe('a page', { concurrency: false }, () => {
  const [, dozen] = /```html\n(.*?)```/s.exec(read(ROOT, 'README.md'));
  for (const [name, html] of [['of a dozen lines in the README', dozen], ['of the examples', read(EXAMPLES, 'page/index.html')]]) {
    test(`${name} shows what is pushed, as text`, LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server, html);
      await reach(server, { channels: ['chat'] }, { from: EVIL, text: EVIL });
      await reach(server, { users: ['adam'] }, { from: 'Tim', text: 'There are some who call me Tim.' });
      await shows(page, 'There are some who call me Tim.');
      await shows(page, EVIL);
      assert.equal(await page.evaluate(() => document.querySelectorAll('img').length), 0);
      assert.deepEqual(page.said, []);
    });
  }

  test('of the examples fits into 360 pixels and says that it is connected', LIMITS, async (t) => {
    const server = await start(t);
    const page = await open(t, server, read(EXAMPLES, 'page/index.html'));
    await page.setViewportSize({ width: 360, height: 740 });
    await until(page, () => document.getElementById('state').textContent === 'connected');
    await reach(server, { channels: ['chat'] }, { from: 'f'.repeat(200), text: 't'.repeat(500) });
    await until(page, () => document.querySelectorAll('#chat > *').length > 0);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  });

  test('without a library shows what is pushed', LIMITS, async (t) => {
    const server = await start(t);
    const page = await open(t, server, read(EXAMPLES, 'event-source.html'));
    await reach(server, { channels: ['chat'] }, { from: 'Tim', text: 'Quite.' });
    await shows(page, 'Tim: Quite.');
  });

  test('with turted-client goes on as it is', LIMITS, async (t) => {
    const assets = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-assets-'));
    t.after(() => fs.rmSync(assets, { recursive: true }));
    fs.copyFileSync(require.resolve('turted-client'), path.join(assets, 'TURTED.js'));
    fs.copyFileSync(path.join(__dirname, 'node_modules/socket.io-client-4/dist/socket.io.js'), path.join(assets, 'socket.io.js'));
    const server = await start(t, {}, { TURTED_ASSETS_DIR: assets });
    const page = await open(t, server, read(EXAMPLES, 'turted-client/index.html'));
    await reach(server, { users: ['adam'] }, { from: 'Tim', text: 'Quite.' });
    await shows(page, 'Tim: Quite.');
    await shows(page, 'MESSAGE:NEW came by {"user":"adam"}');
  });
});
