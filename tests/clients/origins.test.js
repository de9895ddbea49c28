'use strict';
// Which pages of a Chromium may push: each page tries every way that needs no preflight, and one that does. And what a
// page can read that may not connect.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { Browser } = require('./browser/chromium');
const { request } = require('./http');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 60_000 };
/** A name that the browser resolves to this machine, as after DNS rebinding. */
const REBOUND = 'evil.example';
const WAYS = ['FETCH', 'NO-CORS', 'BEACON', 'FORM', 'JSON'];

const browser = new Browser();
before(() => browser.launch(), LIMITS);
after(() => browser.close());

/** Runs in a page: pushes one event in each way. Returns what the page can read of each answer. */
async function pushInEveryWay(url) {
  const body = (event) => JSON.stringify({ event, targets: { broadcast: true } });
  const post = (event, options) =>
    fetch(url, { method: 'POST', body: body(event), ...options })
      .then((answer) => answer.text())
      .catch(() => null);
  const form = (event) =>
    new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.name = 'answer';
      document.body.append(frame);
      const form = document.body.appendChild(document.createElement('form'));
      Object.assign(form, { action: url, method: 'post', enctype: 'text/plain', target: frame.name });
      // The form sends NAME=VALUE.
      const field = form.appendChild(document.createElement('input'));
      field.name = `{"event":"${event}","targets":{"broadcast":true},"payload":"`;
      field.value = '"}';
      frame.onload = () => resolve(null);
      form.submit();
    });
  return {
    FETCH: await post('FETCH'),
    'NO-CORS': await post('NO-CORS', { mode: 'no-cors' }),
    BEACON: navigator.sendBeacon(url, body('BEACON')) || 'not sent',
    FORM: await form('FORM'),
    JSON: await post('JSON', { headers: { 'Content-Type': 'application/json' } }),
  };
}

/** A server, with functions that tell its refusals and the dispatched events. */
async function setting(t, push = {}) {
  const server = await start(t, { push: { method: 'none', ...push } }, { TURTED_ADMIN_LISTEN: '127.0.0.1:0' });
  const [, admin] = /admin on (http:\/\/[^\s]+)/.exec(server.output);
  const end = new AbortController();
  t.after(() => end.abort());
  const stream = await fetch(`${server.url}/sse?channel=c`, { signal: end.signal });
  const refusals = async (rule) => {
    const { body } = await request(`${admin}/metrics`);
    const line = body.split('\n').find((text) => text.startsWith(`turted_refusals_total{rule="${rule}"}`));
    return Number(line?.split(' ')[1] ?? 0);
  };
  /** All dispatched events, at least `least` of them. */
  const heard = async (least) => {
    let [text, events, asked] = ['', [], false];
    const chunks = stream.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    while (!events.includes('END')) {
      if (events.length >= least && !asked) {
        asked = true;
        await server.emit('END', { broadcast: true });
      }
      text += (await chunks.next()).value;
      events = [...text.matchAll(/^event: (.*)\n/gm)].map(([, event]) => event);
    }
    return events.filter((event) => event !== 'END');
  };
  return { server, refusals, heard };
}

/** Checks that no event that `page` pushes is dispatched, and by which rule. */
async function assertRefused({ refusals, heard }, page, url, rule) {
  const answers = await page.evaluate(pushInEveryWay, url);
  assert.equal(answers.BEACON, true);
  // The page does not wait for the answer to a beacon.
  let refused = 0;
  await until(
    () => {
      refusals(rule).then((count) => (refused = count));
      return refused >= WAYS.length;
    },
    () => `${refused} refusals by ${rule}`,
  );
  assert.equal(refused, WAYS.length);
  assert.deepEqual(await heard(0), []);
  return answers;
}

/** Checks that every event that `page` pushes is dispatched. */
async function assertDispatched({ heard }, page, url) {
  const answers = await page.evaluate(pushInEveryWay, url);
  assert.deepEqual((await heard(WAYS.length)).sort(), [...WAYS].sort());
  return answers;
}

describe('a page in Chromium', { concurrency: false }, () => {
  test('of another port cannot push', LIMITS, async (t) => {
    const at = await setting(t);
    const page = await browser.page(t, []);
    const answers = await assertRefused(at, page, `${at.server.url}/push/`, 'origin-not-allowed');
    assert.equal(answers.FETCH, null, 'the page cannot read the reason');
  });

  test('of another name cannot push', LIMITS, async (t) => {
    const at = await setting(t);
    const page = await browser.blank(t);
    await page.goto(browser.origin.replace('127.0.0.1', REBOUND));
    await assertRefused(at, page, `${at.server.url}/push/`, 'origin-not-allowed');
  });

  test('of a name that was made to resolve to this machine cannot push', LIMITS, async (t) => {
    const at = await setting(t);
    const rebound = `http://${REBOUND}:${at.server.port}`;
    const page = await browser.pageAt(t, `${rebound}/turted/`, []);
    assert.equal(await page.evaluate(() => location.origin), rebound);
    const answers = await assertRefused(at, page, `${rebound}/push/`, 'host-not-loopback');
    assert.match(answers.FETCH, /push\.password_file/);
  });

  test('in a sandbox cannot push', LIMITS, async (t) => {
    const at = await setting(t);
    const page = await browser.pageAt(t, `${at.server.url}/turted/`, []);
    const url = `${at.server.url}/turted/`;
    const element = await page.evaluateHandle((src) => {
      const frame = document.createElement('iframe');
      frame.sandbox = 'allow-scripts allow-forms';
      frame.src = src;
      return new Promise((resolve) => {
        frame.onload = () => resolve(frame);
        document.body.append(frame);
      });
    }, url);
    const frame = await element.contentFrame();
    assert.equal(await frame.evaluate(() => self.origin), 'null');
    await assertRefused(at, frame, `${at.server.url}/push/`, 'origin-not-allowed');
  });

  for (const name of ['127.0.0.1', 'localhost']) {
    test(`of the own host may push, at ${name}`, LIMITS, async (t) => {
      const at = await setting(t);
      const url = `http://${name}:${at.server.port}`;
      const page = await browser.pageAt(t, `${url}/turted/`, []);
      const answers = await assertDispatched(at, page, `${url}/push/`);
      assert.deepEqual([answers.FETCH, answers.JSON], ['OK', 'OK']);
    });
  }

  test('of the own host cannot push by another name of it', LIMITS, async (t) => {
    const at = await setting(t);
    const page = await browser.pageAt(t, `http://localhost:${at.server.port}/turted/`, []);
    await assertRefused(at, page, `${at.server.url}/push/`, 'origin-not-allowed');
  });

  test('that may not connect can read why, over every transport', LIMITS, async (t) => {
    const server = await start(t, {}, { TURTED_ALLOW_ORIGINS: 'https://shop.example' });
    const page = await browser.page(t, []);
    for (const path of ['/ws', '/sse?channel=c', '/turted/info', '/socket.io/?EIO=4&transport=polling']) {
      const read = (url) => fetch(url).then(async (answer) => [answer.status, await answer.text()]);
      const [status, text] = await page.evaluate(read, server.url + path);
      assert.equal(status, 403, path);
      assert.match(text, /allow_origins|Forbidden/);
      const withCredentials = (url) => fetch(url, { credentials: 'include' }).catch(() => 'unreadable');
      assert.equal(await page.evaluate(withCredentials, server.url + path), 'unreadable');
    }
  });

  test('of an origin of push.allow_origins may push', LIMITS, async (t) => {
    const at = await setting(t, { allow_origins: [browser.origin] });
    const page = await browser.page(t, []);
    const answers = await assertDispatched(at, page, `${at.server.url}/push/`);
    assert.deepEqual([answers.FETCH, answers.JSON], ['OK', 'OK']);
  });
});
