'use strict';
// What only clients of Socket.IO do, in every generation and over every transport.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { start } = require('./server');
const { CELLS, open, openPlain } = require('./tab');
const { acknowledged, next, until } = require('./waiting');

const LIMITS = { timeout: 30_000 };

const REFUSED = [
  ['IDENT', null],
  ['IDENT', { hasOwnProperty: 1 }],
  ['JOIN'],
  ['JOIN', { channel: 7 }],
  ['message', 5],
  ['message', 'CLOSE'],
  ['message', 'JOIN'],
];

for (const cell of CELLS) {
  describe(cell.title, { concurrency: true }, () => {
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
      const refusal = await next(custom, cell.major <= 2 ? 'error' : 'connect_error');
      assert.equal(cell.major <= 2 ? refusal : refusal.message, 'Invalid namespace');
      await tab.echo();
    });

    test('identifies itself in its handshake', LIMITS, async (t) => {
      const server = await start(t);
      const names = { username: 'adam' };
      const tab = open(t, cell, server.url, cell.major <= 2 ? { query: names } : { auth: names });
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
