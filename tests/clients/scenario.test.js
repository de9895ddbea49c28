'use strict';
// What a page does all day, for every generation of client over every transport.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { proxyTo } = require('./proxy');
const { start } = require('./server');
const { CELLS, open, openPlain } = require('./tab');
const { acknowledged, next, until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
// Each direction, so that an upgrade takes long enough for events to come in its midst.
const LATENCY_MS = 15;
// A connect with an upgrade takes some twelve latencies; a push takes at least 0.1 ms.
const PUSHES_MAX = 10_000;

const ECHOES = [
  'text',
  '',
  'é€😀 "q" \\ end',
  'line\u2028separator\u2029paragraph\n',
  '\u001e record separator',
  { nested: { list: [1, 'two', null, true, { three: 3.5 }] }, ключ: '值' },
  [],
  {},
  0,
  false,
  null,
];

const TARGETS = [
  [{ users: ['adam'] }, { user: 'adam' }],
  [{ users: 'adam' }, { user: 'adam' }],
  [{ channels: ['chat'] }, { channel: 'chat' }],
  [{ users: ['adam'], channels: ['chat', 'log'] }, { user: 'adam' }],
  [{ users: ['eve', 'adam'], channels: ['chat'] }, { user: 'adam' }],
  [{ users: ['eve'], channels: ['nobody', 'log', 'chat'] }, { channel: 'log' }],
  [{ broadcast: true }, { broadcast: true }],
];

const NOT_FOR_ADAM = [
  { users: ['eve'] },
  { channels: ['elsewhere'] },
  { users: ['chat'], channels: ['adam'] },
  { broadcast: false },
  { users: [], channels: [] },
  {},
];

const REFUSED = [
  ['IDENT', null],
  ['IDENT', { hasOwnProperty: 1 }],
  ['JOIN'],
  ['JOIN', { channel: 7 }],
  ['message', 5],
  ['message', 'CLOSE'],
  ['message', 'JOIN'],
];

const INTERNALS_OF_JAVASCRIPT = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];

for (const cell of CELLS) {
  describe(cell.title, { concurrency: true }, () => {
    test('identifies, joins, and joins again much later', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      tab.turted.ident({ username: 'adam' });
      tab.turted.join('chat');
      await tab.answer('OK', { username: 'adam' });
      await tab.answer('OK', { channel: 'chat' });
      await until(() => tab.transport === cell.transports.at(-1), 'the last transport');
      await tab.echo();
      await tab.join('late');
      await server.emit('HELLO', { channels: ['late'] });
      assert.deepEqual((await tab.event('HELLO')).via, { channel: 'late' });
    });

    test('gets back what it echoes', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      for (const data of ECHOES) await tab.echo(data);
    });

    test('hears each push once and is told why', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      const payloads = [];
      tab.turted.on('E1', (payload) => payloads.push(payload));
      await tab.ident('adam');
      await tab.join('chat');
      await tab.join('log');
      for (const [index, [targets]] of TARGETS.entries()) {
        await server.emit(`E${index}`, targets, { index, text: 'é\u2028😀' });
      }
      for (const [index, targets] of NOT_FOR_ADAM.entries()) await server.emit(`NOT${index}`, targets);
      await server.emit('END', { broadcast: true });
      await tab.event('END');
      const expected = TARGETS.map(([, via], index) => ({
        event: `E${index}`,
        payload: { index, text: 'é\u2028😀' },
        via,
      }));
      assert.deepEqual(tab.events.slice(0, -1), expected);
      assert.deepEqual(payloads, [{ index: 1, text: 'é\u2028😀' }]);
    });

    test('hears a push in both tabs of one user', LIMITS, async (t) => {
      const server = await start(t);
      const tabs = [open(t, cell, server.url), open(t, cell, server.url)];
      const stranger = open(t, cell, server.url);
      await Promise.all([...tabs.map((tab) => tab.ident('adam')), stranger.ident('eve')]);
      await server.emit('NEWS', { users: ['adam'] });
      await server.emit('END', { broadcast: true });
      await Promise.all([...tabs, stranger].map((tab) => tab.event('END')));
      assert.deepEqual(tabs.map((tab) => tab.heard), [['NEWS', 'END'], ['NEWS', 'END']]);
      assert.deepEqual(stranger.heard, ['END']);
    });

    test('loses no event while it connects and changes its transport', LIMITS, async (t) => {
      const server = await start(t);
      const proxy = await proxyTo(t, server, LATENCY_MS);
      const tab = open(t, cell, proxy.url);
      let pushed = 0;
      let sinceOk = 0;
      let joined = false;
      tab.native.on('OK', () => (joined = true));
      tab.turted.join('chat');
      while (sinceOk < 100 || tab.transport !== cell.transports.at(-1)) {
        assert.ok(pushed < PUSHES_MAX, 'the client joins and upgrades in time');
        const counts = joined;
        await server.emit('N', { channels: ['chat'] }, pushed++);
        if (counts) sinceOk++;
      }
      const firstAfterOk = pushed - sinceOk;
      await until(() => tab.events.at(-1)?.payload === pushed - 1, 'the last event');
      const numbers = tab.events.map((event) => event.payload);
      assert.ok(numbers[0] <= firstAfterOk, `${numbers[0]} came first, ${firstAfterOk} was due`);
      assert.deepEqual(numbers, Array.from(numbers, (_, index) => numbers[0] + index));
    });

    test('hears nothing of a channel it has left', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      await tab.join('chat');
      await tab.join('log');
      tab.native.emit('LEAVE', { channel: 'chat' });
      await tab.answer('OK', { channel: 'chat' });
      await server.emit('LEFT', { channels: ['chat'] });
      await server.emit('STAYED', { channels: ['log'] });
      await tab.event('STAYED');
      assert.deepEqual(tab.heard, ['STAYED']);
    });

    test('has its commands acknowledged', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      assert.deepEqual(await acknowledged(tab.native, 'JOIN', { channel: 'chat' }), { ok: true, channel: 'chat' });
      for (const data of [{ channel: 7 }, { channel: '' }, null]) {
        const { ok, error } = await acknowledged(tab.native, 'JOIN', data);
        assert.equal(ok, false);
        assert.match(error, /\S/);
      }
      await tab.echo();
    });

    test('is told what was wrong and stays connected', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      await tab.ident('adam');
      for (const [event, ...args] of REFUSED) {
        tab.native.emit(event, ...args);
        assert.match(await tab.refusal(), /\S/, `${event} ${JSON.stringify(args)}`);
        await tab.echo(event);
      }
      await server.emit('STILL', { users: ['adam'] });
      await tab.event('STILL');
    });

    test('may use the names of JavaScript internals', LIMITS, async (t) => {
      const server = await start(t);
      for (const name of INTERNALS_OF_JAVASCRIPT) {
        const tab = open(t, cell, server.url);
        await tab.ident(name);
        await tab.join(name);
        await server.emit('BOTH', { users: [name], channels: [name] });
        await server.emit('CHANNEL', { channels: [name] });
        await server.emit('END', { broadcast: true });
        await tab.event('END');
        assert.deepEqual(tab.heard, ['BOTH', 'CHANNEL', 'END'], name);
        tab.native.close();
      }
    });

    test('is refused binary data and stays connected', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      await tab.echo();
      tab.native.emit('ECHO', Buffer.from([1, 2, 3, 4]));
      assert.match(await tab.refusal(), /\S/);
      tab.native.emit('JOIN', { channel: 'chat', data: Buffer.alloc(1000, 7) });
      assert.match(await tab.refusal(), /\S/);
      await tab.echo();
    });

    test('is refused a namespace that does not exist, and keeps the one it has', LIMITS, async (t) => {
      const server = await start(t);
      const tab = open(t, cell, server.url);
      await tab.echo();
      const custom = tab.native.io.socket('/custom');
      afterwards(t, () => custom.close());
      const refusal = await next(custom, cell.major === 2 ? 'error' : 'connect_error');
      assert.equal(cell.major === 2 ? refusal : refusal.message, 'Invalid namespace');
      await tab.echo();
    });

    test('identifies itself in its handshake', LIMITS, async (t) => {
      const server = await start(t);
      const names = { username: 'adam' };
      const tab = open(t, cell, server.url, cell.major === 2 ? { query: names } : { auth: names });
      await tab.answer('OK', { username: 'adam' });
      await server.emit('HELLO', { users: ['adam'] });
      assert.deepEqual((await tab.event('HELLO')).via, { user: 'adam' });
    });
  });
}

test('turted-client from npm works without any option', LIMITS, async (t) => {
  const server = await start(t);
  const tab = openPlain(t, server.url);
  const heard = [];
  tab.turted.on('MESSAGE:NEW', (data) => heard.push(data));
  await tab.ident('adam');
  await tab.join('chat');
  await until(() => tab.transport === 'websocket', 'the upgrade');
  await server.emit('MESSAGE:NEW', { users: ['adam'], channels: ['chat'] }, { from: 'Bridgekeeper' });
  await until(() => heard.length > 0, 'the message');
  await tab.echo();
  assert.deepEqual(heard, [{ from: 'Bridgekeeper' }]);
});

test('every generation of client hears the same broadcast', LIMITS, async (t) => {
  const server = await start(t);
  const tabs = CELLS.map((cell) => open(t, cell, server.url));
  await Promise.all(tabs.map((tab) => tab.join('chat')));
  await server.emit('ALL', { broadcast: true, channels: ['chat'] }, [1, 2, 3]);
  await server.emit('END', { broadcast: true });
  await Promise.all(tabs.map((tab) => tab.event('END')));
  for (const tab of tabs) assert.deepEqual(tab.heard, ['ALL', 'END']);
});
