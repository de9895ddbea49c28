'use strict';
// The page /demo in Chromium: what a person sees and does, and what it must not do.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { promisify } = require('node:util');
const { Browser, until } = require('./browser/chromium');
const { DemoPage } = require('./browser/demo');
const { BINARY, start } = require('./server');

const LIMITS = { timeout: 60_000 };
const PASSWORD = 'a "tiger" in $HOME';
/** With TURTED_TEST_PICTURE=1 the test draws the picture of the README anew. */
const PICTURE = path.resolve(__dirname, '../../docs/demo.png');
const NARROW = { width: 360, height: 740 };
const WIDE = { width: 1000, height: 906 };
const ROWS_MAX = 200;

const run = promisify(execFile);
const browser = new Browser();
before(() => browser.launch(), LIMITS);
after(() => browser.close());

const open = (t, server, query) => DemoPage.open(t, browser, server.url, query);
const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: element } = document;
    if (element === document.body) return { label: '' };
    const style = getComputedStyle(element);
    // A radio button is not seen: what stands for it is beside it.
    const ring = element.type === 'radio' ? getComputedStyle(element.nextElementSibling) : style;
    const label = element.ariaLabel ?? element.labels?.[0]?.textContent.trim() ?? (element.textContent.trim() || element.id);
    return { label: element.id === 'events' || element.tagName === 'PRE' ? element.tagName : label, ring: ring.outlineStyle };
  });

/** Presses Tab until the element with this label has the focus. Each one on the way has to show that it has it. */
async function tabTo(page, label) {
  const seen = [];
  while (seen.length < 40) {
    await page.keyboard.press('Tab');
    const { label: at, ring } = await focused(page);
    if (at !== '') assert.notEqual(ring, 'none', `${at} shows its focus`);
    if (at === label) return;
    seen.push(at);
  }
  assert.fail(`no ${label} among ${seen}`);
}

/** What a snippet prints, run by the program that its language is for. */
async function runSnippet(t, language, snippet, env = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-snippet-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const script = path.join(directory, 'snippet');
  fs.writeFileSync(script, snippet);
  const PATH = `${path.dirname(BINARY)}:${process.env.PATH}`;
  const { stdout } = await run(language === 'php' ? 'php' : 'sh', [script], { env: { ...process.env, PATH, ...env } });
  return JSON.parse(stdout);
}

/** What of the page breaks a rule of WCAG or a good practice, as axe-core sees it. */
async function faults(page) {
  await page.evaluate(fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const { violations } = await page.evaluate(() => axe.run(document));
  return violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) }));
}

describe('the demo', { concurrency: false }, () => {
  test('shows what is pushed from elsewhere to a visitor who does nothing', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { from: 'Bridgekeeper', text: 'What is your name?' });
    await server.emit('ORDER', { users: ['adam'] }, { order: [7, null] });
    await server.emit('ELSEWHERE', { users: ['eve'], channels: ['news'] });
    await server.emit('END', { broadcast: true }, null);
    assert.deepEqual(await demo.eventsUntil('END'), [
      { event: 'MESSAGE:NEW', reason: 'by channel chat', text: 'Bridgekeeper: What is your name?' },
      { event: 'ORDER', reason: 'by user adam', text: '{"order":[7,null]}' },
      { event: 'END', reason: 'by broadcast', text: 'null' },
    ]);
    demo.assertSilent();
  });

  test('is used by keyboard alone, and always shows where the focus is', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    const { page } = demo;
    const { keyboard } = page;
    await tabTo(page, 'User');
    await keyboard.type('eve');
    await keyboard.press('Enter');
    await until(page, () => document.getElementById('user').textContent === 'You are eve.');
    await tabTo(page, 'Channel');
    await keyboard.type('news');
    await keyboard.press('Enter');
    await page.locator('#channels li', { hasText: 'news' }).waitFor();
    await tabTo(page, 'Leave chat');
    await keyboard.press('Space');
    await page.locator('#channels li', { hasText: 'chat' }).waitFor({ state: 'detached' });
    assert.equal((await focused(page)).label, 'Channel', 'the focus stays in the form');
    await tabTo(page, 'To users');
    await keyboard.type('eve');
    await tabTo(page, 'To channels');
    await keyboard.press('Delete');
    await tabTo(page, 'Push');
    await keyboard.press('Enter');
    const rows = await demo.eventsUntil('MESSAGE:NEW');
    assert.deepEqual(rows.map(({ reason }) => reason), ['by user eve']);
    assert.match(await page.textContent('#answer'), /^200 \{"delivered":1,"id":".+"\}$/);
    await tabTo(page, 'Clear');
    await keyboard.press('Enter');
    assert.deepEqual(await demo.rows(), []);
    await tabTo(page, 'curl');
    await keyboard.press('ArrowRight');
    assert.match(await page.textContent('#snippet'), /^turted push .*--user=eve \\\n  MESSAGE:NEW /);
    await tabTo(page, 'PRE');
    await tabTo(page, 'Copy');
    await keyboard.press('Enter');
    await until(page, () => document.getElementById('copied').textContent !== '');
    await keyboard.press('Shift+Tab');
    for (const label of ['Disconnect', 'Connect']) {
      await tabTo(page, label);
      await keyboard.press('Enter');
      await demo.state(label === 'Connect' ? 'connected' : 'closed');
    }
    demo.assertSilent();
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`can be read by all in a ${colorScheme} scheme`, LIMITS, async (t) => {
      const server = await start(t);
      const demo = await open(t, server);
      await demo.page.emulateMedia({ colorScheme });
      await demo.push();
      await demo.push({ payload: '{"n": 1}' });
      await demo.push({ payload: 'nonsense' });
      const ground = await demo.page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]);
      assert.equal(ground < 128, colorScheme === 'dark');
      assert.deepEqual(await faults(demo.page), []);
      demo.assertSilent();
    });
  }

  test('fits into 360 pixels, however long names and payloads are', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server, `?user=${'u'.repeat(200)}&channel=${'c'.repeat(200)}`);
    await demo.page.setViewportSize(NARROW);
    await server.emit('E'.repeat(255), { users: ['u'.repeat(200)] }, { long: 'x'.repeat(100_000), deep: [[['y'.repeat(500)]]] });
    await server.emit('MESSAGE:NEW', { broadcast: true }, { from: 'f'.repeat(300), text: 't'.repeat(300) });
    await demo.eventsUntil('MESSAGE:NEW');
    await demo.push({ event: 'EVENT'.repeat(40), users: 'u'.repeat(200), payload: `"${'p'.repeat(500)}"` });
    const [needed, there] = await demo.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(needed, there);
    const small = await demo.page.$$eval('button, input:not([type=radio])', (elements) =>
      elements.filter((element) => element.checkVisibility() && element.type !== 'checkbox' && element.offsetHeight < 24).map(({ outerHTML }) => outerHTML),
    );
    assert.deepEqual(small, [], 'what is touched is large enough (WCAG 2.2, 2.5.8)');
    demo.assertSilent();
  });

  test('shows what others say as text, whatever it looks like', LIMITS, async (t) => {
    const server = await start(t);
    const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
    const demo = await open(t, server, `?channel=${encodeURIComponent(evil)}`);
    await server.emit(evil, { channels: [evil] }, { from: evil, text: evil });
    await server.emit(`${evil}2`, { broadcast: true }, { [evil]: evil, __proto__: null });
    const rows = await demo.eventsUntil(`${evil}2`);
    assert.deepEqual(rows, [
      { event: evil, reason: `by channel ${evil}`, text: `${evil}: ${evil}` },
      { event: `${evil}2`, reason: 'by broadcast', text: JSON.stringify({ [evil]: evil }) },
    ]);
    await demo.push({ event: evil, users: evil, payload: JSON.stringify(evil) });
    for (const language of ['curl', 'turted', 'php']) assert.match(await demo.snippet(language), /<img src=x/);
    const made = await demo.page.evaluate(() => [document.querySelectorAll('body img, body script').length, document.title]);
    assert.deepEqual(made, [0, 'turted: demo']);
    demo.assertSilent();
  });

  test('keeps the last two hundred rows, and shows the newest one', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    for (let number = 0; number < ROWS_MAX + 50; number++) await server.emit('N', { channels: ['chat'] }, number);
    await server.emit('END', { broadcast: true });
    const rows = await demo.eventsUntil('END');
    assert.deepEqual([rows.length, rows[0].text], [ROWS_MAX, '51']);
    await until(demo.page, () => {
      const log = document.getElementById('events');
      return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 2;
    });
    const readEarlier = () => demo.page.evaluate(() => (document.getElementById('events').scrollTop = 100));
    await readEarlier();
    await server.emit('LATER', { broadcast: true });
    await demo.eventsUntil('LATER');
    await demo.page.evaluate(() => new Promise(requestAnimationFrame));
    const place = await demo.page.evaluate(() => document.getElementById('events').scrollTop);
    assert.ok(place <= 100, `somebody who reads earlier rows stays there: ${place}`);
  });

  test('says the same push for a shell and for PHP, with every quote and newline', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    const names = ['O\'Brien "the" \\ $HOME `id` !x', '-n', 'é😀'];
    const payload = `{"text": "it's \\"quoted\\" \\\\ $HOME $(id) \`id\` !! %s \\n",\n\t"more": [1e2, 12345678901234567890,\n'']}`.replace("''", '"\\u0027\'"');
    const fields = { event: '--it\'s "an" \\event\' $(id)', users: names.join(', '), channels: "chat, it's", payload };
    await demo.page.fill('#ident [name=username]', names[0]);
    await demo.page.press('#ident [name=username]', 'Enter');
    await until(demo.page, (name) => document.getElementById('user').textContent === `You are ${name}.`, names[0]);
    assert.match(await demo.push(fields), /^200 /);
    const [own] = await demo.eventsUntil(fields.event);
    for (const language of ['curl', 'turted', 'php']) {
      await demo.page.click('#clear');
      const answer = await runSnippet(t, language, await demo.snippet(language));
      assert.equal(answer.delivered, 1, language);
      assert.deepEqual(await demo.eventsUntil(fields.event), [own], language);
    }
    await demo.page.check('[name=broadcast]');
    await demo.fill({ users: '', channels: '', payload: '' });
    for (const language of ['curl', 'turted', 'php']) {
      await demo.page.click('#clear');
      await runSnippet(t, language, await demo.snippet(language));
      assert.deepEqual(await demo.eventsUntil(fields.event), [{ event: fields.event, reason: 'by broadcast', text: '{}' }], language);
    }
  });

  test('quotes a name that zsh would take for a command', LIMITS, async (t) => {
    const demo = await open(t, await start(t));
    await demo.fill({ event: '=ls', users: '=ls', payload: '' });
    assert.match(await demo.snippet('turted'), / --user='=ls' .*\n {2}'=ls' \\\n {2}'\{\}'$/);
  });

  test('says what is wrong with a push before it is sent', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    assert.match(await demo.push({ payload: 'hello' }), /no JSON/);
    assert.equal(await demo.page.getAttribute('#push [name=payload]', 'aria-invalid'), 'true');
    assert.match(await demo.push({ payload: '"hello"', channels: ' , ' }), /To whom/);
    assert.match(await demo.push({ channels: 'x'.repeat(256) }), /^400 .*name-too-long|^400 .*255/);
  });

  test('asks for the credentials of a server that needs them, and shows none', LIMITS, async (t) => {
    const config = { push: { method: 'password', password: PASSWORD }, auth: { method: 'password', password: 'lion' } };
    const server = await start(t, config, { TURTED_DEMO: 'true' });
    const demo = await open(t, server);
    const { page } = demo;
    const secret = page.getByLabel('Password', { exact: true });
    assert.equal(await page.textContent('#user'), 'nobody yet', 'nothing is guessed');
    for (const [password, told] of [['wolf', /^Refused: /], ['lion', /^You are adam\.$/]]) {
      await secret.fill(password);
      await secret.press('Enter');
      await until(page, (text) => new RegExp(text).test(document.getElementById('user').textContent), told.source);
    }
    assert.match(await demo.push(), /^401 /);
    assert.match(await demo.push({ password: 'wolf' }), /^401 /);
    assert.match(await demo.push({ password: PASSWORD, users: 'adam' }), /^200 .*"delivered":1/);
    for (const language of ['curl', 'turted', 'php']) {
      const snippet = await demo.snippet(language);
      assert.ok(snippet.includes('TURTED_PUSH_PASSWORD') && !snippet.includes('tiger'), snippet);
      const { delivered } = await runSnippet(t, language, snippet, { TURTED_PUSH_PASSWORD: PASSWORD });
      assert.equal(delivered, 1, language);
    }
    assert.ok(!(await page.content()).includes('tiger'));
  });

  test('of a server with tokens takes the token that the server makes', LIMITS, async (t) => {
    const server = await start(t, { auth: { method: 'token', prefix: 'salt' } }, { TURTED_DEMO: 'true' });
    const { stdout } = await run(BINARY, ['token', '--config', server.configFile, 'adam']);
    const demo = await open(t, server);
    await demo.page.getByLabel('Token', { exact: true }).fill(stdout.trim());
    await demo.page.click('#ident button');
    await until(demo.page, () => document.getElementById('user').textContent === 'You are adam.');
    demo.assertSilent();
  });

  test('says that a token has expired', LIMITS, async (t) => {
    const auth = { method: 'jwt', algorithm: 'HS256', key: 'k'.repeat(32), leeway: '1ms' };
    const server = await start(t, { auth }, { TURTED_DEMO: 'true' });
    const { stdout } = await run(BINARY, ['token', '--config', server.configFile, '--ttl', '3s', 'adam']);
    const demo = await open(t, server);
    await demo.page.getByLabel('JSON Web Token', { exact: true }).fill(stdout.trim());
    await demo.page.click('#ident button');
    for (const told of ['You are adam.', 'Nobody any more: the token has expired.']) {
      await until(demo.page, (text) => document.getElementById('user').textContent === text, told);
    }
    assert.ok((await demo.rows()).some(({ text }) => /expired/.test(text)));
  });

  test('comes back by itself to a server that was started anew, and asks for a password once it is loaded again', LIMITS, async (t) => {
    const server = await start(t, { push: {} });
    const demo = await open(t, server);
    Object.assign(server.env, { TURTED_DEMO: 'true', TURTED_PUSH_PASSWORD: 's3cret' });
    await server.restart();
    const push = { event: 'E', targets: { users: ['adam'], channels: ['chat'] }, auth: { password: 's3cret' } };
    let delivered = 0;
    while (delivered === 0) ({ delivered } = JSON.parse((await server.push(push, { Accept: 'application/json' })).body));
    await demo.eventsUntil('E');
    assert.match(await demo.push({ users: 'adam' }), /^401 /);
    await demo.page.reload();
    await demo.ready();
    assert.match(await demo.push({ password: 's3cret', users: 'adam' }), /^200 .*"delivered":1/);
  });

  test('looks as the README shows it', LIMITS, async (t) => {
    const server = await start(t);
    const demo = await open(t, server);
    await demo.page.setViewportSize(WIDE);
    for (const [from, text] of [
      ['Bridgekeeper', 'What is the airspeed velocity of an unladen swallow?'],
      ['Arthur', 'What do you mean? An African or a European swallow?'],
    ]) {
      await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { from, text });
    }
    await server.emit('ORDER:PAID', { users: ['adam'] }, { order: 4711, total: '12.50' });
    await server.emit('MAINTENANCE', { broadcast: true }, { at: '22:00' });
    await demo.push({ payload: '{"from": "Bridgekeeper", "text": "What? I don\'t know that."}' });
    await demo.snippet('turted');
    await demo.page.evaluate(() => document.activeElement.blur());
    const picture = await demo.page.screenshot();
    if (process.env.TURTED_TEST_PICTURE) fs.writeFileSync(PICTURE, picture);
    const size = (png) => [png.readUInt32BE(16), png.readUInt32BE(20)];
    assert.deepEqual(size(fs.readFileSync(PICTURE)), size(picture));
    assert.equal((await demo.rows()).length, 5);
    demo.assertSilent();
  });
});
