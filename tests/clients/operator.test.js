'use strict';
// What operators do to clients, as the clients of every generation take it: one that is cut comes back, one that is not to
// come back stays away, and one that is taken out of a channel hears nothing of it any more.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const WebSocket = require('ws');
const { afterwards } = require('./afterwards');
const { request } = require('./http');
const { TURTED } = require('../../clients/js/dist/turted.cjs');
const { start } = require('./server');
const { CELLS, EAGER } = require('./tab');
const { until } = require('./waiting');

const LIMITS = { timeout: 60_000 };
const TOKEN = 'a-token-of-22-characters-or-more';
/** Many times as long as an eager client waits before it comes back. */
const ABSENCE_MS = 1_000;
/** What socket.io-client says of the packet 41. */
const GOOD_BYE = 'io server disconnect';

/** A server, and a function that makes it do something. */
async function serve(t) {
  const server = await start(t, {}, { TURTED_ADMIN_LISTEN: '127.0.0.1:0', TURTED_ADMIN_WRITE_TOKEN: TOKEN });
  const [, admin] = /admin on (http:\/\/[^\s]+)/.exec(server.output);
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const act = async (path, body) => {
    const answer = await request(`${admin}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body);
  };
  const connections = async (user) => JSON.parse((await request(`${admin}/api/v1/users/${user}`, { headers })).body).connections;
  return { server, act, connections };
}

describe('an operator', { concurrency: 4 }, () => {
  for (const cell of CELLS) {
    test(`cuts a client that comes back, and sends it away for good: ${cell.title}`, LIMITS, async (t) => {
      const { server, act, connections } = await serve(t);
      // Without turted-client, which takes the place of what socket.io-client does at such an end.
      const native = cell.io(server.url, { ...EAGER, transports: cell.transports });
      afterwards(t, () => native.close());
      const reasons = [];
      native.on('connect', () => native.emit('IDENT', { username: 'adam' }));
      native.on('disconnect', (reason) => reasons.push(reason));
      const isThere = () => until(async () => (await connections('adam')) === 1, 'adam');
      await isThere();
      assert.equal((await act('users/adam/disconnect', { reason: 'an update' })).connections, 1);
      await until(() => reasons.length === 1, 'the cut');
      await isThere();
      assert.equal((await act('users/adam/disconnect', { come_back: false })).connections, 1);
      await until(() => reasons.length === 2, 'the end');
      assert.notEqual(reasons[0], GOOD_BYE);
      assert.equal(reasons[1], GOOD_BYE);
      await new Promise((resolve) => setTimeout(resolve, ABSENCE_MS));
      assert.deepEqual([native.connected, await connections('adam')], [false, 0]);
    });
  }

  for (const transport of ['websocket', 'sockjs']) {
    test(`cuts the client library, takes it out of a channel, and sends it away, by ${transport}`, LIMITS, async (t) => {
      const { server, act, connections } = await serve(t);
      const turted = new TURTED(server.url, { WebSocket, transports: [transport], retry: { min: 20, max: 100 } });
      afterwards(t, () => turted.close());
      const [states, errors, events] = [[], [], []];
      turted.onState((state, { code, reason } = {}) => states.push([state, code, reason]));
      turted.onError(({ code, rule }) => errors.push([code, rule]));
      turted.on('*', (payload, { event }) => events.push(event));
      await turted.ident({ username: 'adam' });
      await Promise.all([turted.join('chat'), turted.join('news')]);
      await act('users/adam/disconnect', { reason: 'an update' });
      await until(() => states.some(([state]) => state === 'waiting') && turted.state === 'connected', 'the library to be back');
      assert.ok(turted.recovered, 'with its session');
      assert.equal((await act('channels/chat/remove', { user: 'adam' })).connections, 1);
      await until(() => errors.length === 1, 'that it was removed');
      assert.deepEqual(errors, [['removed', 'chat']]);
      await server.emit('CHAT', { channels: ['chat'] });
      await server.emit('NEWS', { channels: ['news'] });
      await until(() => events.includes('NEWS'), 'the news');
      await turted.join('chat');
      await server.emit('CHAT AGAIN', { channels: ['chat'] });
      await until(() => events.includes('CHAT AGAIN'), 'the chat');
      assert.deepEqual(events, ['NEWS', 'CHAT AGAIN']);
      await act('users/adam/disconnect', { reason: 'new terms', come_back: false });
      await until(() => turted.state === 'closed', 'the end');
      assert.deepEqual(states.at(-1), ['closed', 4000, 'new terms']);
      assert.equal(await connections('adam'), 0);
    });
  }
});
