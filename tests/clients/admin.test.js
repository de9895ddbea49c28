'use strict';
// The page of operators in Chromium: what it shows, what it changes, and what strangers cannot make of it.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const WebSocket = require('ws');
const { afterwards } = require('./afterwards');
const { AdminPage } = require('./browser/admin');
const { startCluster } = require('./cluster');
const { Browser, until: untilPage } = require('./browser/chromium');
const { request } = require('./http');
const { start } = require('./server');
const { next, until } = require('./waiting');

// A thousand connections take a few seconds, ten thousand a minute.
const LIMITS = { timeout: 120_000 + 60 * Number(process.env.TURTED_TEST_CONNECTIONS ?? 0) };
const READS = 'a-token-of-22-characters-that-reads';
const WRITES = 'a-token-of-22-characters-that-writes';
/** With TURTED_TEST_PICTURE=1 the test draws the picture of the documentation anew. */
const PICTURE = path.resolve(__dirname, '../../docs/admin.png');
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };
/** Milliseconds that a task of the page may take. On a quiet machine 50 hold: TURTED_TEST_TASK_MS. */
const TASK_MS_MAX = Number(process.env.TURTED_TEST_TASK_MS ?? 200);
const CONNECTIONS = Number(process.env.TURTED_TEST_CONNECTIONS ?? 1_000);
const ROWS_MAX = 500;
const EVIL = [
  '<img src=x onerror="document.title=1">',
  '<script>document.title=2</script>',
  '"><svg/onload=document.title=3>',
  "javascript:document.title=4//'",
  '</textarea></title><iframe srcdoc="<script>parent.document.title=5</script>">',
  '{{constructor.constructor("document.title=6")()}}',
  '\u202egnp.evil\u2066',
];

const browser = new Browser();
before(() => browser.launch(), LIMITS);
after(() => browser.close());

/** A server with its admin listener. */
async function serve(t, config = {}, env = {}) {
  const server = await start(t, config, { TURTED_ADMIN_LISTEN: '127.0.0.1:0', ...env });
  [, server.admin] = /admin on (http:\/\/[^\s]+)/.exec(server.output);
  return server;
}

const guarded = (t, config) => serve(t, config, { TURTED_ADMIN_TOKEN: READS, TURTED_ADMIN_WRITE_TOKEN: WRITES });

/** A client of turted.v1 that is `user` and has joined `channels`. */
async function connect(t, server, user, channels = []) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`);
  afterwards(t, () => socket.terminate());
  const asks = [{ do: 'ident', data: { username: user } }, ...channels.map((channel) => ({ do: 'join', channel }))];
  await next(socket, 'message');
  for (const ask of asks) {
    socket.send(JSON.stringify({ id: 1, ...ask }));
    const reply = await next(socket, 'message');
    assert.equal(JSON.parse(reply).ok, true, String(reply));
  }
  return socket;
}

/** What of the page breaks a rule of WCAG or a good practice, as axe-core sees it. */
async function faults(page) {
  await page.evaluate(fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const { violations } = await page.evaluate(() => axe.run(document));
  return violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) }));
}

describe('the page of operators', { concurrency: false }, () => {
  test('says what to do while nothing happens', LIMITS, async (t) => {
    const server = await serve(t);
    const admin = await AdminPage.watching(t, browser, server.admin);
    await admin.says('list-state', 'No user is online.');
    for (const [kind, hint] of [['channels', 'enters one by JOIN'], ['connections', 'turted subscribe']]) {
      await admin.list(kind, 0);
      await admin.says('list-state', hint);
    }
    await admin.says('node', new URL(server.url).port);
    assert.deepEqual(await admin.page.$$eval('#open li', (notes) => notes.map(({ textContent }) => textContent)), [
      'OPEN: everyone may be any user',
      'OPEN: everyone may push',
      'OPEN: everyone may read this',
    ]);
    await untilPage(admin.page, () => document.querySelectorAll('#figures figure').length === 6);
    assert.match(await admin.page.textContent('#actions'), /Set admin_write_token/);
    assert.equal(await admin.page.isVisible('#push-button'), false);
    await admin.page.fill('#push [name=channels]', 'chat');
    await admin.says('curl', `curl ${server.url}/push/`);
    await admin.says('turted', '--channel=chat');
    await admin.page.fill('#filter [name=text]', 'nonsense');
    await admin.page.press('#filter [name=text]', 'Enter');
    await admin.state('A filter is key=value');
    admin.assertSilent();
  });

  test('shows who is here, what happens, and what became of an event', LIMITS, async (t) => {
    const server = await guarded(t, { channels: [{ name: 'chat', join: 'open', history: 5, presence: true }] });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.useToken(READS);
    await admin.state('watching');
    admin.said.length = 0;
    await connect(t, server, 'adam', ['chat']);
    await admin.row('joined', 'chat');
    await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { text: 'hello' });
    const row = await admin.row('push', 'MESSAGE:NEW');
    await row.click();
    await admin.state('paused');
    assert.match(await admin.page.textContent('#rows .details pre'), /"text": "hello"/);
    await server.emit('LATER', { broadcast: true });
    await admin.page.locator('#rows .details button', { hasText: 'trace' }).click();
    await admin.says('entry-title', 'Event ');
    await admin.says('entry', 'MESSAGE:NEW');
    await admin.says('entry', 'adam');
    await admin.page.locator('#rows .details button', { hasText: 'channel chat' }).click();
    await admin.says('entry-title', 'Channel chat');
    await admin.says('entry', 'hello');
    await admin.says('entry', '1 users, and 0 connections that are none');
    await admin.page.locator('#entry button.link').first().click();
    await admin.says('entry-title', 'Connection ');
    await admin.says('entry', '127.0.0.1');
    assert.ok(!(await admin.rows()).some(([, text]) => text.includes('LATER')), 'nothing comes while it is paused');
    await admin.page.click('#pause');
    await admin.state('watching');
    await server.emit('ELSE', { users: ['eve'] });
    await server.emit('LAST', { users: ['adam'] });
    await admin.row('push', 'LAST');
    await admin.page.click('#clear');
    await admin.page.fill('#filter [name=text]', 'user=adam type=push');
    await admin.page.press('#filter [name=text]', 'Enter');
    await admin.row('watching');
    await server.emit('ELSE', { users: ['eve'] });
    await server.emit('LAST', { users: ['adam'] });
    await admin.row('push', 'LAST');
    assert.deepEqual((await admin.rows()).map(([type]) => type), ['push', 'watching']);
    assert.match(await admin.page.textContent('#actions'), /This token only reads/);
    admin.assertSilent();
  });

  test('reaches users and channels that are named as browsers name folders', LIMITS, async (t) => {
    const server = await guarded(t, { channels: [{ name: '.', join: 'open', history: 5 }] });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.useToken(WRITES);
    await admin.state('watching');
    admin.said.length = 0;
    const socket = await connect(t, server, '..', ['.']);
    await server.emit('MESSAGE:NEW', { channels: ['.'] }, { text: 'hello' });
    await admin.list('channels', 1);
    await admin.show('.');
    await admin.says('entry', 'hello');
    assert.match(await admin.act('Delete history'), /events 1/);
    await admin.list('users', 1);
    await admin.show('..');
    await admin.says('entry', 'yes');
    const closed = once(socket, 'close');
    assert.match(await admin.act('Disconnect'), /connections 1/);
    assert.equal((await closed)[0], 4100);
    admin.assertSilent();
  });

  test('keeps the token in the tab, and shows it to no address', LIMITS, async (t) => {
    const server = await guarded(t);
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.says('node', 'a token is needed');
    await admin.useToken(WRITES);
    await admin.state('watching');
    await admin.page.reload();
    await admin.state('watching');
    assert.ok(admin.asked.length > 8);
    assert.ok(admin.asked.every((url) => url.startsWith(server.admin) && !url.includes(WRITES)), admin.asked.join('\n'));
    assert.ok(!(await admin.page.content()).includes(WRITES));
    const other = await AdminPage.open(t, browser, server.admin);
    await other.says('node', 'a token is needed');
    await admin.page.click('#change-token');
    await admin.page.click('#forget-token');
    await admin.says('node', 'a token is needed');
    assert.equal(await admin.page.evaluate(() => sessionStorage.length), 0);
  });

  test('says that a token is wrong, and each wrong one is one guess', LIMITS, async (t) => {
    const server = await guarded(t, { limits: { wrong_passwords: 3 } });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.says('node', 'a token is needed');
    for (let guess = 1; guess <= 3; guess += 1) {
      await admin.useToken('wrong');
      await admin.says('token-state', 'This token is not right.');
    }
    await admin.useToken('wrong');
    await admin.says('token-state', 'too many wrong tokens from this address');
    await admin.useToken(WRITES);
    await admin.state('watching');
  });

  test('pushes, disconnects and takes out of channels with the token that writes', LIMITS, async (t) => {
    const server = await guarded(t, { channels: [{ name: 'chat', join: 'open', history: 5 }] });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.useToken(WRITES);
    await admin.state('watching');
    const adam = await connect(t, server, 'adam', ['chat']);
    const heard = [];
    adam.on('message', (message) => heard.push(JSON.parse(message)));
    await admin.page.fill('#push [name=users]', 'adam');
    await admin.page.fill('#push [name=channels]', 'chat');
    await admin.page.click('#push-button');
    await admin.says('push-answer', 'reached 1');
    await until(() => heard.some(({ event }) => event === 'MESSAGE:NEW'), 'the event');
    await admin.list('users', 1);
    await admin.show('adam');
    await admin.page.getByLabel('Channel', { exact: true }).fill('chat');
    assert.equal(await admin.act('Remove from channel'), 'Done: connections 1, away 0');
    await until(() => heard.some(({ left }) => left?.[0] === 'chat'), 'that it has left');
    await admin.page.getByLabel('Reason, told to the client').fill('new terms');
    await admin.page.getByLabel('It may come back').uncheck();
    const closed = new Promise((resolve) => adam.once('close', (...end) => resolve(end)));
    assert.equal(await admin.act('Disconnect'), 'Done: connections 1, sessions 0');
    const [code, reason] = await closed;
    assert.deepEqual([code, String(reason)], [4000, 'new terms']);
    await admin.row('action', 'disconnect');
    await connect(t, server, 'eve', ['chat']);
    await admin.list('channels', 1);
    await admin.show('chat');
    await admin.says('entry', 'MESSAGE:NEW');
    await admin.page.locator('#actions button', { hasText: 'Delete history' }).dblclick();
    await admin.page.locator('#actions button[aria-disabled=false]', { hasText: 'Sure?' }).waitFor();
    assert.match(await admin.page.textContent('#entry'), /MESSAGE:NEW/, 'a double click only asks');
    assert.equal(await admin.act('Delete history'), 'Done: events 1');
    await admin.says('entry', 'No history');
  });

  for (const connections of [0, CONNECTIONS]) {
    test(`is fluent with ${connections} connections under a thousand pushes a second`, LIMITS, async (t) => {
      const server = await serve(t);
      const socketOf = (index) => connect(t, server, `user-${index}`, index === 0 ? ['busy'] : []);
      for (let index = 0; index < connections; index += 50) {
        await Promise.all(Array.from({ length: Math.min(50, connections - index) }, (_, more) => socketOf(index + more)));
      }
      const admin = await AdminPage.watching(t, browser, server.admin);
      await admin.list('users', Math.min(connections, 100));
      await admin.page.evaluate(() => {
        window.tasks = [];
        new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
        setTimeout(() => {
          for (const end = performance.now() + 120; performance.now() < end; );
        });
      });
      await untilPage(admin.page, () => window.tasks.length > 0);
      await admin.page.evaluate(() => (window.tasks = []));
      const batch = Array.from({ length: 20 }, () => ({ event: 'BUSY', targets: { channels: ['busy'] }, payload: { text: 'x'.repeat(100) } }));
      let pushed = 0;
      const began = performance.now();
      while (performance.now() - began < 6_000) {
        const due = (performance.now() - began) / 1000 * 1000;
        if (pushed < due) {
          assert.equal((await server.push(batch)).status, 200);
          pushed += batch.length;
        } else {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
      await server.emit('LAST', { channels: ['busy'] });
      await admin.row('push', 'LAST');
      if (connections > 100) {
        await admin.page.click('#list-more');
        await untilPage(admin.page, () => document.getElementById('list').childElementCount === 200);
      }
      const tasks = await admin.page.evaluate(() => window.tasks);
      t.diagnostic(`${pushed} pushes, longest tasks ${tasks.sort((a, b) => b - a).slice(0, 3).map(Math.round)} ms`);
      assert.ok(pushed > 2_000, `${pushed}`);
      assert.ok(Math.max(0, ...tasks) <= TASK_MS_MAX, `${tasks}`);
      assert.equal(await admin.page.$$eval('#rows > li', (rows) => rows.length), ROWS_MAX);
      admin.assertSilent();
    });
  }

  test('shows what strangers choose as text, whatever it looks like', LIMITS, async (t) => {
    const server = await guarded(t, { channels: EVIL.map((name) => ({ name, join: 'open', history: 5 })) });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.useToken(WRITES);
    await admin.state('watching');
    admin.said.length = 0;
    for (const evil of EVIL) {
      await connect(t, server, evil, [evil]);
      await server.emit(evil, { users: [evil], channels: [evil] }, { [evil]: evil });
    }
    await server.push({ event: EVIL[0], targets: { [EVIL[1]]: EVIL[2] } });
    await admin.row('push-refused');
    const shown = (text) => text.replace(/[\u202e\u2066]/g, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);
    for (const evil of EVIL) {
      await admin.row('push', shown(evil));
      await admin.list('users', EVIL.length);
      await admin.show(shown(evil));
      await admin.list('channels', EVIL.length);
      await admin.show(shown(evil));
      await admin.says('entry', shown(JSON.stringify(evil)));
    }
    const row = await admin.row('push', shown(EVIL[0]));
    await row.click();
    await admin.page.locator('#rows .details pre').first().waitFor();
    await admin.page.fill('#push [name=event]', EVIL[1]);
    await admin.page.fill('#push [name=users]', EVIL[0]);
    await admin.page.click('#push-button');
    await admin.says('push-answer', 'reached 1');
    const made = await admin.page.evaluate(() => [document.querySelectorAll('body img, body script, body iframe, figure ~ svg, li svg').length, document.title]);
    assert.deepEqual(made, [0, 'turted']);
    admin.assertSilent();
  });

  test('shows a row for each node of a cluster, and who is at any of them', LIMITS, async (t) => {
    const cluster = await startCluster(t, { channels: [{ name: 'chat', join: 'open', history: 5 }] }, { TURTED_ADMIN_LISTEN: '127.0.0.1:0' });
    const [, url] = /admin on (http:\/\/[^\s]+)/.exec(cluster.nodes[0].output);
    const admin = await AdminPage.watching(t, browser, url);
    await admin.state('watching this node alone');
    await untilPage(admin.page, () => document.querySelectorAll('#nodes li').length === 3);
    const rows = await admin.page.$$eval('#nodes li', (rows) => rows.map(({ textContent }) => textContent));
    assert.equal(rows.filter((row) => row.includes('this one')).length, 1, rows.join());
    assert.ok(rows.every((row) => /Node \d+.*connections.*has read/.test(row)), rows.join());
    for (const [place, user] of ['adam', 'eve', 'lilith'].entries()) await connect(t, cluster.nodes[place], user, ['chat']);
    assert.deepEqual(await admin.list('users', 3), ['adam', 'eve', 'lilith']);
    await admin.list('channels', 1);
    await admin.show('chat');
    await admin.says('entry', '3');
    assert.ok(await admin.page.isDisabled('#filter [name=all]'), 'a filter for all nodes has a user, a channel or an address');
    await admin.page.fill('#filter [name=text]', 'channel=news');
    await admin.page.check('#filter [name=all]');
    await admin.page.click('#filter button');
    await admin.state('watching all nodes');
    await untilPage(admin.page, () => document.querySelector('#rows').textContent.split('watching').length > 3);
    await connect(t, cluster.nodes[2], 'judith', ['news']);
    await admin.row('joined', 'news');
    await cluster.nodes[1].kill();
    await admin.says('nodes', 'silent');
  });

  test('keeps what was typed into an action while its entry is shown anew', LIMITS, async (t) => {
    const server = await guarded(t);
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.useToken(WRITES);
    await admin.state('watching');
    await connect(t, server, 'adam', ['chat']);
    await admin.list('users', 1);
    await admin.show('adam');
    const reason = admin.page.getByLabel('Reason, told to the client');
    await reason.fill('new terms');
    const shown = admin.page.waitForResponse((answer) => answer.url().endsWith('/api/v1/users/adam'));
    await admin.page.evaluate(() => document.getElementById('entry-again').click());
    await (await shown).finished();
    await admin.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
    assert.equal(await reason.inputValue(), 'new terms');
    assert.equal(await reason.evaluate((field) => field === document.activeElement), true, 'the focus stays');
  });

  test('is framed by nobody, and answers no page of another origin', LIMITS, async (t) => {
    const server = await serve(t);
    const page = await browser.page(t, []);
    const [framed, read, unread] = await page.evaluate(async (admin) => {
      const frame = document.createElement('iframe');
      const loaded = new Promise((resolve) => (frame.onload = resolve));
      frame.src = admin;
      document.body.append(frame);
      await loaded;
      let isReached = false;
      try {
        isReached = frame.contentWindow.document !== null;
      } catch {
        // What stands in it is of another origin: an error of the browser, or the page.
      }
      const get = (path, options) => fetch(`${admin}/${path}`, options).then((answer) => answer.type, () => 'refused');
      return [isReached, await get('api/v1/users'), await get('api/v1/events', { mode: 'no-cors' })];
    }, server.admin);
    assert.deepEqual([framed, read], [false, 'refused']);
    assert.ok(['opaque', 'refused'].includes(unread));
    const inside = page.frames().find((frame) => frame.parentFrame() !== null);
    assert.equal(await inside.$('#rows'), null, 'the page does not stand in the frame');
    const { body } = await request(`${server.admin}/api/v1/events`, { headers: { 'Sec-Fetch-Site': 'cross-site' } });
    assert.match(body, /pages of other origins/);
    // A link to it works.
    await page.evaluate((admin) => (location.href = admin), server.admin);
    await page.locator('#rows').waitFor();
  });

  test('is not there for a name that was made to resolve to this machine', LIMITS, async (t) => {
    const server = await serve(t);
    const page = await browser.blank(t);
    const answer = await page.goto(`http://evil.example:${new URL(server.admin).port}/`);
    assert.equal(answer.status(), 421);
    const status = await page.evaluate(() => fetch('/api/v1/users').then(({ status }) => status));
    assert.equal(status, 421);
  });

  test('works below the path of a proxy that passes the host on', LIMITS, async (t) => {
    const server = await guarded(t);
    const target = new URL(server.admin);
    const proxy = http.createServer((asked, answer) => {
      const path = asked.url.replace(/^\/ops\//, '/');
      const headers = { ...asked.headers, 'x-forwarded-for': '192.0.2.1' };
      const passed = http.request({ host: target.hostname, port: target.port, path, method: asked.method, headers }, (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      answer.on('close', () => passed.destroy());
      asked.pipe(passed);
    });
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    afterwards(t, () => (proxy.close(), proxy.closeAllConnections()));
    const admin = await AdminPage.open(t, browser, `http://127.0.0.1:${proxy.address().port}/ops/`);
    await admin.useToken(WRITES);
    await admin.state('watching');
    await admin.page.fill('#push [name=users]', 'adam');
    await admin.page.click('#push-button');
    await admin.says('push-answer', 'reached 0');
  });

  test('is used by keyboard alone, and always shows where the focus is', LIMITS, async (t) => {
    const server = await guarded(t);
    const admin = await AdminPage.open(t, browser, server.admin);
    const { page } = admin;
    await admin.says('node', 'a token is needed');
    await page.keyboard.type(WRITES);
    await page.keyboard.press('Enter');
    await admin.state('watching');
    await connect(t, server, 'adam', ['chat']);
    await admin.row('joined', 'chat');
    /** Presses Tab until the element with this text has the focus. Each one on the way has to show that it has it. */
    const tabTo = async (text) => {
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press('Tab');
        const { label, ring } = await page.evaluate(() => {
          const { activeElement: element } = document;
          const seen = element.type === 'radio' ? element.nextElementSibling : element;
          const label = element.ariaLabel ?? element.labels?.[0]?.textContent ?? (element.textContent || element.id);
          return { label: element === document.body ? '' : label.trim(), ring: getComputedStyle(seen).outlineStyle };
        });
        if (label !== '') assert.notEqual(ring, 'none', `${label} shows its focus`);
        if (label.startsWith(text)) return;
      }
      assert.fail(`no ${text}`);
    };
    await tabTo('Names that begin with');
    await page.keyboard.type('ad');
    await page.keyboard.press('Enter');
    await untilPage(page, () => document.getElementById('list').childElementCount === 1);
    await tabTo('adam');
    await page.keyboard.press('Enter');
    await admin.says('entry-title', 'User adam');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'entry-title');
    await tabTo('Pause');
    await page.keyboard.press('Space');
    await admin.state('paused');
    await page.keyboard.press('Space');
    await admin.state('watching');
    await tabTo('Disconnect');
    await page.keyboard.press('Enter');
    // A second press at once would be that of a double click.
    await page.locator('button[aria-disabled=false]', { hasText: 'Sure?' }).waitFor();
    await page.keyboard.press('Enter');
    await admin.says('action-answer', 'Done: connections 1');
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`can be read by all in a ${colorScheme} scheme`, LIMITS, async (t) => {
      const server = await guarded(t, { channels: [{ name: 'chat', join: 'open', history: 5 }] });
      const admin = await AdminPage.open(t, browser, server.admin);
      await admin.page.emulateMedia({ colorScheme });
      await admin.useToken(WRITES);
      await admin.state('watching');
      await connect(t, server, 'adam', ['chat']);
      await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { text: 'hello' });
      await (await admin.row('push', 'MESSAGE:NEW')).click();
      await admin.list('channels', 1);
      await admin.show('chat');
      await admin.says('entry', 'hello');
      const ground = await admin.page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]);
      assert.equal(ground < 128, colorScheme === 'dark');
      assert.deepEqual(await faults(admin.page), []);
    });
  }

  test('fits into 360 pixels, however long names and payloads are', LIMITS, async (t) => {
    const server = await guarded(t);
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.page.setViewportSize(NARROW);
    await admin.useToken(WRITES);
    await admin.state('watching');
    const long = 'n'.repeat(200);
    await connect(t, server, long, [long]);
    await server.emit('E'.repeat(255), { users: [long], channels: [long] }, { long: 'x'.repeat(3_000), deep: [[['y'.repeat(500)]]] });
    await (await admin.row('push', 'EEE')).click();
    for (const kind of ['users', 'channels']) {
      await admin.list(kind, 1);
      await admin.show(long);
    }
    await admin.page.locator('#entry button.link').first().click();
    await admin.says('entry-title', 'Connection');
    await admin.says('entry', long);
    await admin.page.fill('#push [name=users]', long);
    await admin.page.click('#push-button');
    await admin.says('push-answer', 'reached');
    const [needed, there] = await admin.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(needed, there);
    const small = await admin.page.$$eval('button, input:not([type=radio])', (elements) =>
      elements.filter((element) => element.checkVisibility() && element.type !== 'checkbox' && element.offsetHeight < 24).map(({ outerHTML }) => outerHTML),
    );
    assert.deepEqual(small, [], 'what is touched is large enough (WCAG 2.2, 2.5.8)');
  });

  test('looks as the documentation shows it', LIMITS, async (t) => {
    const server = await guarded(t, { channels: [{ name: 'chat', join: 'open', history: 5 }] });
    const admin = await AdminPage.open(t, browser, server.admin);
    await admin.page.setViewportSize(WIDE);
    await admin.useToken(WRITES);
    await admin.state('watching');
    for (const user of ['adam', 'bert', 'eve', 'mallory']) await connect(t, server, user, ['chat', 'news']);
    for (let beat = 0; beat < 4; beat++) {
      await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { from: 'Bridgekeeper', text: 'What is your quest?' });
      await server.emit('ORDER:PAID', { users: ['adam'] }, { order: 4711 + beat, total: '12.50' });
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
    await admin.list('users', 4);
    await admin.show('adam');
    await (await admin.row('push', 'ORDER:PAID')).click();
    await admin.page.fill('#push [name=channels]', 'chat');
    await admin.page.evaluate(() => document.activeElement.blur());
    const picture = await admin.page.screenshot();
    if (process.env.TURTED_TEST_PICTURE) fs.writeFileSync(PICTURE, picture);
    const size = (png) => [png.readUInt32BE(16), png.readUInt32BE(20)];
    assert.deepEqual(size(fs.readFileSync(PICTURE)), size(picture));
  });
});
