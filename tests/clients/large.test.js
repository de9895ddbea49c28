'use strict';
// Large events, for clients that read as fast as they can, and for a client that was away for a moment.

const assert = require('node:assert/strict');
const http = require('node:http');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { CLIENTS } = require('./everywhere');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { until } = require('./waiting');

const LIMITS = { timeout: 60_000 };
const WAIT_MS_MAX = 20_000;
const ROW = (number) => ({ id: number, name: `row ${number}`, text: 'said "so"', price: 17.25 });
// What one push carries: each payload is more than a SockJS client receives in one response.
const LARGE = [
  { title: '12,000 rows of JSON', payload: Array.from({ length: 12_000 }, (_, number) => ROW(number)) },
  { title: '250,000 quotes', payload: '"'.repeat(250_000) },
  { title: '300,000 quotes', payload: '"'.repeat(300_000) },
];
const PUSHES = 6;
const AWAY = { ms: 300, pushes: 12, bytes: 100_000 };

/** Waits until a tab receives events over its last transport. */
async function ready(server, tab) {
  const again = setInterval(() => server.emit('READY', { broadcast: true }).catch(() => {}), 50);
  try {
    await until(() => tab.events.some(({ event }) => event === 'READY'), 'the first event');
    // In SockJS it may come before the welcome: until then the client has no session to come back to.
    if (tab.client) await until(() => tab.client.isReady, 'the welcome');
    await tab.settled();
  } finally {
    clearInterval(again);
  }
  tab.losses = 0;
}

const payloads = (tab, name) => tab.events.filter(({ event }) => event === name).map(({ payload }) => payload);

async function receives(tab, name, due) {
  const came = () => `${payloads(tab, name).length} of ${due.length} of ${name}`;
  const isOver = () => {
    assert.equal(tab.losses, 0, `the connection was lost, ${came()}`);
    return payloads(tab, name).length >= due.length;
  };
  await until(isOver, came, WAIT_MS_MAX);
  assert.deepEqual(payloads(tab, name), due);
}

/** `htmlfile` by hand, which sockjs-client has only in browsers: reads, and asks for the next response. */
class HtmlFile {
  constructor(url) {
    this.url = `${url}/turted/0/htmlfile${Math.random().toString(36).slice(2)}/htmlfile?c=f`;
    this.events = [];
    this.losses = 0;
    this.ask();
  }

  ask() {
    let rest = '';
    this.request = http.get(this.url, (response) => {
      response.setEncoding('utf8').on('data', (text) => {
        const scripts = (rest + text).split('</script>');
        rest = scripts.pop();
        for (const script of scripts) this.run(/p\((".*")\);/s.exec(script)?.[1]);
      });
      response.on('error', () => {});
      response.on('close', () => this.isClosed || this.ask());
    });
    this.request.on('error', () => {});
  }

  run(literal) {
    const frame = literal === undefined ? 'o' : JSON.parse(literal);
    if (frame[0] === 'c') {
      this.losses++;
      this.isClosed = true;
    }
    if (frame[0] !== 'a') return;
    for (const text of JSON.parse(frame.slice(1))) {
      const { type, data } = JSON.parse(text);
      this.events.push({ event: type, payload: data });
    }
  }

  async settled() {}

  close() {
    this.isClosed = true;
    this.request.destroy();
  }
}

const HTMLFILE = {
  title: 'turted 0.1 in SockJS over htmlfile',
  open(t, url) {
    const tab = new HtmlFile(url);
    afterwards(t, () => tab.close());
    return tab;
  },
};
const EVERYBODY = [...CLIENTS, HTMLFILE];
const SOCKJS = EVERYBODY.filter(({ title }) => / in SockJS over (?!websocket)/.test(title));

describe('one large push reaches SockJS clients that read', { concurrency: 4 }, () => {
  for (const client of SOCKJS) {
    for (const { title, payload } of LARGE) {
      test(`${client.title}: ${title}`, LIMITS, async (t) => {
        // The limit of what may wait is less than what is sent, and than what the server appends.
        const server = await start(t, { limits: { outbox_bytes: '1MiB' } });
        const tab = client.open(t, server.url);
        await ready(server, tab);
        await server.emit('LARGE', { broadcast: true }, payload);
        await receives(tab, 'LARGE', [payload]);
        await server.emit('AFTER', { broadcast: true }, 1);
        await receives(tab, 'AFTER', [1]);
      });
    }
  }
});

describe('six large pushes in a row reach clients that read', { concurrency: 4 }, () => {
  for (const client of EVERYBODY) {
    for (const kilobytes of [400, 600]) {
      test(`${client.title}: of ${kilobytes} kB`, LIMITS, async (t) => {
        const server = await start(t, client.config);
        const tab = client.open(t, server.url);
        await ready(server, tab);
        const due = Array.from({ length: PUSHES }, (_, number) => `${number}`.repeat(kilobytes * 1000));
        const pushing = (async () => {
          for (const payload of due) await server.emit('LARGE', { broadcast: true }, payload);
        })();
        await Promise.all([pushing, receives(tab, 'LARGE', due)]);
      });
    }
  }
});

describe('a client that was away for 0.3 s and missed 12 x 100 kB resumes without a gap', { concurrency: 4 }, () => {
  // The SockJS clients among them speak turted.v1, in which they can resume.
  for (const client of CLIENTS.filter(({ keeps }) => keeps === 'everything')) {
    test(client.title, LIMITS, async (t) => {
      const server = await start(t, client.config);
      const proxy = await proxyTo(t, server);
      const tab = client.open(t, proxy.url);
      await ready(server, tab);
      const due = Array.from({ length: AWAY.pushes }, (_, number) => `${number % 10}`.repeat(AWAY.bytes));
      proxy.drop();
      const back = setTimeout(() => proxy.restore(), AWAY.ms);
      afterwards(t, () => clearTimeout(back));
      for (const payload of due) await server.emit('MISSED', { broadcast: true }, payload);
      const returned = await tab.gone().catch(() => null);
      if (returned) await returned();
      await until(() => payloads(tab, 'MISSED').length >= due.length, () => told(tab), WAIT_MS_MAX);
      await server.emit('LAST', { broadcast: true });
      await tab.event('LAST');
      assert.deepEqual(payloads(tab, 'MISSED'), due);
      if (tab.gaps !== undefined) assert.equal(tab.gaps, 0, 'no gap was told');
      if (tab.native) assert.equal(tab.native.recovered, true, 'the session was recovered');
      if (tab.client) assert.ok(tab.client.resumed > 0, 'the session was resumed');
    });
  }
});

function told(tab) {
  return `${payloads(tab, 'MISSED').length} missed events came; gaps: ${tab.gaps}, recovered: ${tab.native?.recovered}`;
}
