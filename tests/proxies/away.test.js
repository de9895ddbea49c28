'use strict';
// What clients receive through the proxies of packaging/ while turted is away, and what the proxies let
// through.

// The certificates are made for the test.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const tls = require('node:tls');
const { after, before, test } = require('node:test');
const { EventSource } = require('../clients/eventsource');
const { Browser, until: untilInPage } = require('../clients/browser/chromium');
const { afterwards } = require('../clients/afterwards');
const { start } = require('../clients/server');
const { until } = require('../clients/waiting');
const { caddy, haproxy, has, nginx } = require('./proxy');

const LIMITS = { timeout: 120_000 };
/** Longer than a proxy retries by itself; HAProxy does for some seconds. */
const AWAY_MS = 8_000;
/** `retry: 3000`, and more time for a busy machine. */
const BACK_MS_MAX = 20_000;

const BEHIND = { TURTED_TRUSTED_PROXIES: '127.0.0.1', TURTED_ADMIN_LISTEN: '' };
const CLOSED = 2;

const browser = new Browser();
before(() => browser.launch({ ignoreHTTPSErrors: true }), LIMITS);
after(() => browser.close());

/** All proxies before one server, by name: their ports. */
async function proxies(t, server) {
  const ports = { nginx: await nginx(t, server), haproxy: (await haproxy(t, server.port, 1)).front };
  if (has('caddy')) ports.caddy = await caddy(t, server);
  return Object.entries(ports);
}

/** A request through a proxy: its status, headers and body. */
function ask(port, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = https.get({ host: '127.0.0.1', port, path, headers, agent: false });
    request.once('error', reject);
    request.once('response', (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text) => (body += text));
      answer.once('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
    });
  });
}

/** An EventSource of npm, and what happened to it. */
function listen(t, url) {
  const source = new EventSource(url);
  const heard = { source, events: [], ends: 0 };
  source.onerror = () => (heard.ends += source.readyState === CLOSED ? 1 : 0);
  source.addEventListener('NEWS', ({ data }) => heard.events.push(data));
  afterwards(t, () => source.close());
  return heard;
}

/** The same in a page, one for each address; with credentials, as the strictest pages ask for them. */
function listenInPage(urls) {
  window.heard = urls.map((url) => {
    const source = new EventSource(url, { withCredentials: true });
    const heard = { source, events: [], ends: 0 };
    source.onerror = () => (heard.ends += source.readyState === 2 ? 1 : 0);
    source.addEventListener('NEWS', ({ data }) => heard.events.push(data));
    return heard;
  });
}

const inPage = (page) => page.evaluate(() => window.heard.map(({ events, ends }) => ({ events, ends })));

/** Pushes directly until `heard()` says that every client has received it. */
async function pushUntilHeard(server, payload, heard) {
  await server.emit('NEWS', { channels: ['chat'] }, payload);
  await until(heard, `the event ${payload}`, BACK_MS_MAX);
}

test('an EventSource comes back after turted was away for 8 s, through each proxy', LIMITS, async (t) => {
  const server = await start(t, {}, BEHIND);
  const ways = await proxies(t, server);
  const urls = ways.map(([, port]) => `https://127.0.0.1:${port}/sse?channel=chat`);
  const sources = urls.map((url) => listen(t, url));
  const page = await browser.page(t, []);
  await page.evaluate(listenInPage, urls);
  const areOpen = () => window.heard.every(({ source }) => source.readyState === 1);
  const allOpen = () => sources.every(({ source }) => source.readyState === EventSource.OPEN);
  await Promise.all([until(allOpen, 'all streams', BACK_MS_MAX), untilInPage(page, areOpen)]);
  await pushUntilHeard(server, 'before', () => sources.every(({ events }) => events.includes('"before"')));

  await server.stop();
  const away = Date.now() + AWAY_MS;
  const origin = 'https://page.example';
  for (const [name, port] of ways) {
    const stream = await ask(port, '/sse?channel=chat', { Accept: 'text/event-stream', Origin: origin });
    assert.deepEqual([stream.status, stream.body], [200, 'retry: 3000\n: turted is away\n\n'], name);
    assert.match(stream.headers['content-type'], /^text\/event-stream/, name);
    assert.equal(stream.headers['cache-control'], 'no-store', name);
    assert.equal(stream.headers['access-control-allow-origin'], origin, name);
    assert.equal(stream.headers['access-control-allow-credentials'], 'true', name);
    const other = await ask(port, '/socket.io/?EIO=4&transport=polling');
    assert.ok(other.status === 502 || other.status === 503, `${name}: ${other.status}`);
  }
  // The server has to be away for a given time, so there is no condition to wait for.
  await new Promise((resolve) => setTimeout(resolve, away - Date.now()));
  await server.run();

  await Promise.all([until(allOpen, 'all streams', BACK_MS_MAX), untilInPage(page, areOpen)]);
  await pushUntilHeard(server, 'after', () => sources.every(({ events }) => events.includes('"after"')));
  await untilInPage(page, () => window.heard.every(({ events }) => events.includes('"after"')));
  const all = [...sources, ...(await inPage(page))];
  assert.equal(all.length, 2 * ways.length);
  for (const { events, ends } of all) assert.deepEqual([events, ends], [['"before"', '"after"'], 0]);
});

test('a refusal of turted passes each proxy unchanged', LIMITS, async (t) => {
  const server = await start(t, {}, BEHIND);
  for (const [name, port] of await proxies(t, server)) {
    const long = 'x'.repeat(300);
    const refused = await ask(port, `/sse?channel=${long}`, { Accept: 'text/event-stream' });
    assert.equal(refused.status, 400, name);
  }
});

test('a token of 12 kB passes, in the header', LIMITS, async (t) => {
  const server = await start(t, {}, BEHIND);
  for (const [name, port] of await proxies(t, server)) {
    const { status } = await ask(port, '/health', { Authorization: `Bearer ${'x'.repeat(12_000)}` });
    assert.equal(status, 200, name);
  }
});

/** The first line of the answer to a push to `target`, from an address that may not push. */
function pushFromOutside(port, target) {
  const body = '{"event":"E","targets":{"broadcast":true}}';
  const head = `POST ${target} HTTP/1.1\r\nHost: turted.example.com:${port}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.9' });
    let answer = '';
    socket.once('error', reject).setEncoding('latin1').on('data', (text) => (answer += text));
    socket.once('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])));
    socket.write(head + body);
  });
}

test('no spelling of the push path passes the rule that only the own network pushes', LIMITS, async (t) => {
  const server = await start(t, {}, BEHIND);
  const targets = ['/push', '/push/', '/push#x', '/push/#x', '/push?#', '//push', '/./push', '/x/../push', '/%70ush', '/push%23', '/push;x'];
  for (const [name, port] of await proxies(t, server)) {
    for (const target of targets) {
      const status = await pushFromOutside(port, target);
      assert.ok(status >= 400 && status < 500, `${name} ${target}: ${status}`);
    }
  }
});

/** A proxy without rules for event streams: 502 while the server is away. */
async function plainProxy(t, server) {
  const proxy = http.createServer((request, answer) => {
    const away = () => answer.writeHead(502, { 'Access-Control-Allow-Origin': '*' }).end('Bad Gateway');
    const on = http.request({ port: server.port, path: request.url, headers: request.headers, agent: false });
    on.once('error', () => (answer.headersSent ? answer.destroy() : away()));
    on.once('response', (from) => from.pipe(answer.writeHead(from.statusCode, from.headers)).once('close', () => on.destroy()));
    on.end();
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  afterwards(t, () => (proxy.close(), proxy.closeAllConnections()));
  return proxy.address().port;
}

test('the example of a page listens for the end and opens anew, behind a proxy that says 502', LIMITS, async (t) => {
  const server = await start(t, {}, BEHIND);
  const port = await plainProxy(t, server);
  const example = fs.readFileSync(path.resolve(__dirname, '../../examples/event-source.html'), 'utf8');
  assert.ok(example.includes('127.0.0.1:7117'));
  const page = await browser.page(t, []);
  await page.setContent(example.replaceAll('127.0.0.1:7117', `127.0.0.1:${port}`));
  const shows = (text) => page.waitForFunction((wanted) => document.body.innerText.includes(wanted), text, { timeout: BACK_MS_MAX });
  await shows('connected');
  await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { from: 'adam', text: 'before' });
  await shows('adam: before');
  await server.stop();
  await shows('refused, trying again');
  await server.run();
  // The position from before the restart means nothing to the new server, and it says so.
  await shows('something was missed');
  await server.emit('MESSAGE:NEW', { channels: ['chat'] }, { from: 'eve', text: 'after' });
  await shows('eve: after');
});
