'use strict';
// The unmodified sockjs-client over each of its transports, as a page of turted 0.1 uses it and as a client
// of turted.v1.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const SockJS = require('sockjs-client');
const { afterwards } = require('./afterwards');
const { start } = require('./server');
const { SOCKJS_TRANSPORTS: TRANSPORTS } = require('./sockjs');
const { until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
const TEXTS = ['', 'é€😀 "q" \\ end %41 %', 'line\u2028separator\u2029\n\r\0\u001f', '</script><!--', '\u200c\ufff0\uffff'];
// Longer than sockjs-client waits for /info and a transport on a busy machine.
const OPEN_MS_MAX = 15_000;

class Page {
  constructor(url, transports) {
    this.sock = new SockJS(`${url}/turted`, null, { transports });
    this.messages = [];
    this.heartbeats = 0;
    this.sock.onmessage = (event) => this.messages.push(JSON.parse(event.data));
    this.sock.onclose = (event) => (this.closed = event);
    this.sock.onheartbeat = () => this.heartbeats++;
  }

  async open() {
    const isOpen = () => {
      assert.equal(this.closed, undefined, `closed with ${this.closed?.code} ${this.closed?.reason}`);
      return this.sock.readyState === SockJS.OPEN;
    };
    await until(isOpen, 'the session to open', OPEN_MS_MAX);
    return this;
  }

  say(message) {
    this.sock.send(JSON.stringify(message));
  }

  /** Waits for the first message that is not taken yet, and takes it. */
  async hear() {
    await until(() => this.messages.length > 0, 'a message');
    return this.messages.shift();
  }

  async ask(message) {
    this.say(message);
    return this.hear();
  }

  /** Waits until everything that was sent before is done. */
  async settle() {
    assert.deepEqual(await this.ask({ type: 'echo', data: 'settled' }), { type: 'message', data: 'settled' });
  }

  async ident(username) {
    assert.deepEqual(await this.ask({ type: 'ident', data: { username } }), { type: 'IDENTIFIED', data: {} });
  }
}

async function open(t, url, transports) {
  const page = new Page(url, transports);
  afterwards(t, () => page.sock.close());
  return page.open();
}

for (const transport of TRANSPORTS) {
  describe(`sockjs-client over ${transport}`, { concurrency: true }, () => {
    test('identifies, joins, and hears each push once and why', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      assert.equal(page.sock.transport, transport);
      await page.ident('adam');
      page.say({ type: 'join', data: { channel: 'chat' } });
      await page.settle();
      const payload = { n: 1, texts: TEXTS };
      await server.emit('BOTH', { users: ['adam'], channels: ['chat'] }, payload);
      await server.emit('CHANNEL', { channels: ['chat'] });
      await server.emit('EVE', { users: ['eve'], channels: ['elsewhere'] });
      await server.emit('ALL', { broadcast: true });
      assert.deepEqual(await page.hear(), { type: 'BOTH', data: payload, via: { user: 'adam' } });
      assert.deepEqual(await page.hear(), { type: 'CHANNEL', data: {}, via: { channel: 'chat' } });
      assert.deepEqual(await page.hear(), { type: 'ALL', data: {}, via: { broadcast: true } });
      page.say({ type: 'leave', data: { channel: 'chat' } });
      await page.settle();
      await server.emit('LEFT', { channels: ['chat'] });
      await page.settle();
    });

    test('gets back what it echoes, and the reason for what is refused', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      for (const data of [...TEXTS, null, 0, { a: [1, 'two'] }]) {
        assert.deepEqual(await page.ask({ type: 'echo', data }), { type: 'message', data });
      }
      page.sock.send('no json');
      assert.deepEqual(await page.hear(), { type: 'ERR', data: { ERR: 'a message must be a json object' } });
      assert.equal((await page.ask({ type: 'join', data: { channel: 7 } })).type, 'ERR');
      await page.settle();
    });

    test('hears everything in order while responses end again and again', LIMITS, async (t) => {
      const server = await start(t, { sockjs: { response_bytes: 1000 } });
      const page = await open(t, server.url, [transport]);
      await page.settle();
      for (let number = 0; number < 300; number++) await server.emit('N', { broadcast: true }, number);
      await until(() => page.messages.length === 300, () => `300 messages, not ${page.messages.length}`);
      assert.deepEqual(page.messages.map((message) => message.data), Array.from({ length: 300 }, (_, index) => index));
    });

    test('sends a burst in order', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      for (let number = 0; number < 200; number++) page.say({ type: 'echo', data: number });
      await until(() => page.messages.length === 200, () => `200 messages, not ${page.messages.length}`);
      assert.deepEqual(page.messages.map((message) => message.data), Array.from({ length: 200 }, (_, index) => index));
    });

    test('hears heartbeats and lives on them', LIMITS, async (t) => {
      const server = await start(t, { sockjs: { heartbeat: '40ms', disconnect_delay: '200ms' } });
      const page = await open(t, server.url, [transport]);
      await until(() => page.heartbeats >= 10, 'ten heartbeats');
      await page.settle();
    });

    test('is told when the server stops, and comes back to the next one', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      await page.ident('adam');
      assert.equal(await server.stop(), 0);
      await until(() => page.closed, 'the end of the session');
      assert.deepEqual([page.closed.code, page.closed.reason], [1012, 'the server is stopping']);
      await server.run();
      const back = await open(t, server.url, [transport]);
      await back.ident('adam');
      await server.emit('AGAIN', { users: ['adam'] });
      assert.equal((await back.hear()).type, 'AGAIN');
    });

    test('notices that the server has crashed', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      await page.settle();
      await server.restart();
      // In node xhr-streaming does not notice that its response broke off until it sends something.
      page.say({ type: 'echo', data: 'anybody?' });
      await until(() => page.closed, 'the end of the session');
      const back = await open(t, server.url, [transport]);
      await back.settle();
    });

    test('speaks turted.v1 and resumes', LIMITS, async (t) => {
      const server = await start(t);
      const page = await open(t, server.url, [transport]);
      const { welcome } = await page.ask({ type: 'hello', protocol: 'turted.v1' });
      assert.equal(welcome.protocol, 'turted.v1');
      const ident = { id: 1, do: 'ident', data: { username: 'adam' } };
      assert.deepEqual(await page.ask(ident), { reply: 1, ok: true, username: 'adam' });
      await server.emit('SEEN', { users: ['adam'] });
      const { event, cursor } = await page.hear();
      assert.equal(event, 'SEEN');
      page.sock.close();
      await until(() => page.closed, 'the end of the session');
      await server.emit('MISSED', { users: ['adam'] });
      const back = await open(t, server.url, [transport]);
      await back.ask({ type: 'hello', protocol: 'turted.v1' });
      const resumed = await back.ask({ id: 2, do: 'resume', session: welcome.session, cursor });
      assert.deepEqual([resumed.ok, resumed.replayed], [true, 1], JSON.stringify(resumed));
      assert.equal((await back.hear()).event, 'MISSED');
    });
  });
}

test('sockjs-client without any option uses the WebSocket', LIMITS, async (t) => {
  const server = await start(t);
  const page = await open(t, server.url);
  assert.equal(page.sock.transport, 'websocket');
  await page.settle();
});

test('sockjs-client takes another transport where WebSockets are off', LIMITS, async (t) => {
  const server = await start(t, { sockjs: { websocket: false, path: '/other/path' } });
  const sock = new SockJS(`${server.url}/other/path`);
  afterwards(t, () => sock.close());
  await until(() => sock.readyState === SockJS.OPEN, 'the session to open', OPEN_MS_MAX);
  assert.notEqual(sock.transport, 'websocket');
});

test('pages of every transport hear the same broadcast', LIMITS, async (t) => {
  const server = await start(t);
  const pages = await Promise.all(TRANSPORTS.map((transport) => open(t, server.url, [transport])));
  await Promise.all(pages.map((page) => page.settle()));
  await server.emit('ALL', { broadcast: true }, TEXTS);
  for (const page of pages) {
    assert.deepEqual(await page.hear(), { type: 'ALL', data: TEXTS, via: { broadcast: true } });
  }
});
