'use strict';
// What a page can do with @turted/client, over each transport, against a real server.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const WebSocket = require('ws');
const { request } = require('../http');
const { start } = require('../server');
const { next, until } = require('../waiting');
const { DIST, open, TRANSPORTS, TURTED, TurtedError } = require('./open');

const LIMITS = { timeout: 30_000 };
const MEMBERS = { '[channels]': { name: 'members', join: 'identified' } };
const BY_PASSWORD = { auth: { method: 'password', password: 'IamAllowed2CONNECT!' } };

/** What the promise is rejected with. */
const refusal = (promise) => promise.then(() => assert.fail('it was accepted'), (error) => error);

for (const { title, options } of TRANSPORTS) {
  describe(`a client over ${title}`, { concurrency: true }, () => {
    test('hears events of its user, its channels and everyone, and why', LIMITS, async (t) => {
      const server = await start(t);
      const { turted, events } = open(t, server.url, options);
      assert.equal(await turted.ident({ username: 'adam' }), 'adam');
      await turted.join('chat');
      await server.emit('A', { users: ['adam'] }, { id: 1 });
      await server.emit('B', { channels: ['chat'] }, 'text');
      await server.emit('C', { broadcast: true }, null);
      await until(() => events.length === 3);
      const [{ cursor }] = events;
      assert.match(cursor, /^[0-9a-f]+-\d+$/);
      assert.deepEqual(events.map(({ event, payload, via }) => [event, payload, via]), [
        ['A', { id: 1 }, { user: 'adam' }],
        ['B', 'text', { channel: 'chat' }],
        ['C', null, { broadcast: true }],
      ]);
      assert.equal(turted.user, 'adam');
    });

    test('gets back what it echoes', LIMITS, async (t) => {
      const server = await start(t);
      const { turted } = open(t, server.url, options);
      const values = [null, 0, '', 'ö €', [1, [2]], { a: { b: null } }, 'x'.repeat(40_000)];
      assert.deepEqual(await Promise.all(values.map((value) => turted.echo(value))), values);
    });

    test('leaves a channel with its last leave, and hears nothing of it afterwards', LIMITS, async (t) => {
      const server = await start(t);
      const { turted, events } = open(t, server.url, options);
      await Promise.all([turted.join('chat'), turted.join('chat')]);
      await turted.leave('chat');
      await server.emit('N', { channels: ['chat'] }, 1);
      await until(() => events.length === 1);
      await turted.leave('chat');
      await server.emit('N', { channels: ['chat'] }, 2);
      await server.emit('LAST', { broadcast: true }, 'last');
      await until(() => events.at(-1).event === 'LAST');
      assert.deepEqual(events.map(({ payload }) => payload), [1, 'last']);
    });

    test('learns why a join and an ident were refused', LIMITS, async (t) => {
      const server = await start(t, { ...MEMBERS, ...BY_PASSWORD });
      const { turted, errors } = open(t, server.url, options);
      const join = await refusal(turted.join('members'));
      assert.ok(join instanceof TurtedError && join instanceof Error);
      assert.deepEqual([join.name, join.code], ['TurtedError', 'join-refused']);
      assert.ok(join.reason.length > 0 && join.rule.length > 0 && join.message === join.reason);
      const ident = await refusal(turted.ident({ username: 'adam', password: 'guess' }));
      assert.equal(ident.code, 'ident-refused');
      assert.equal((await refusal(turted.join(''))).code, 'channel-missing');
      assert.equal((await refusal(turted.join('x'.repeat(256)))).code, 'channel-invalid');
      const mixed = await Promise.allSettled(['chat', 7, undefined, 'news'].map((channel) => turted.join(channel)));
      assert.deepEqual(
        mixed.map(({ reason }) => reason?.code),
        [undefined, 'channel-invalid', 'channel-missing', undefined],
      );
      assert.equal(await turted.ident({ username: 'adam', password: BY_PASSWORD.auth.password }), 'adam');
      await turted.join('members');
      assert.deepEqual(errors, []);
    });

    test('refuses what is no name of a channel, and joins the names beside it', LIMITS, async (t) => {
      const server = await start(t);
      const { turted, errors } = open(t, server.url, options);
      const codes = await Promise.all(['a', 5, null, 'b', {}, 'c'].map(async (channel) => {
        try {
          await turted.join(channel);
        } catch (error) {
          return error.code;
        }
      }));
      assert.deepEqual(codes, [undefined, 'channel-invalid', 'channel-missing', undefined, 'channel-invalid', undefined]);
      // Who awaits a promise hears of its rejection there, and nowhere else.
      assert.deepEqual(errors, []);
    });

    test('refuses a message that would end its connection for good', LIMITS, async (t) => {
      const server = await start(t);
      const { turted, states } = open(t, server.url, options);
      assert.equal((await refusal(turted.echo('x'.repeat(70_000)))).code, 'message-invalid');
      assert.equal((await refusal(turted.echo(1n))).code, 'message-invalid');
      assert.equal((await refusal(turted.join('x'.repeat(70_000)))).code, 'message-invalid');
      assert.equal(await turted.echo('here'), 'here');
      assert.deepEqual(states.map(({ state }) => state), ['connecting', 'connected']);
    });

    test('joins 200 channels of which the server takes 128, each for itself', LIMITS, async (t) => {
      const server = await start(t);
      const { turted } = open(t, server.url, options);
      const names = Array.from({ length: 200 }, (_, number) => `channel ${number} ${'"'.repeat(200)}`);
      const results = await Promise.allSettled(names.map((name) => turted.join(name)));
      const codes = results.map(({ reason }) => reason?.code);
      assert.deepEqual(codes, names.map((_, number) => (number < 128 ? undefined : 'too-many-channels')));
      assert.equal(turted.state, 'connected');
    });

    test('knows the name of its connection in the admin API', LIMITS, async (t) => {
      const server = await start(t, {}, { TURTED_ADMIN_LISTEN: '127.0.0.1:0' });
      const page = open(t, server.url, { ...options, ident: { username: 'adam' } });
      const admin = /admin on (\S+)/.exec(server.output)[1];
      const get = async (path) => JSON.parse((await request(`${admin}/api/v1/${path}`)).body);
      const listed = async () => {
        const { connection_ids: ids } = await get('users/adam');
        return Promise.all(ids.map(async (id) => (await get(`connections/${id}`)).public_id));
      };
      await page.turted.echo(1);
      assert.deepEqual(await listed(), [page.turted.connection]);
      page.turted.close();
      await page.is('closed');
      page.turted.connect();
      await page.is('connected');
      assert.equal(page.turted.recovered, true);
      assert.deepEqual(await listed(), [page.turted.connection]);
    });

    test('closes, connects again and hears what it missed meanwhile', LIMITS, async (t) => {
      const server = await start(t);
      const page = open(t, server.url, { ...options, connect: false, ident: { username: 'adam' } });
      const { turted } = page;
      const joined = turted.join('chat');
      assert.equal(turted.state, 'closed');
      turted.connect();
      await joined;
      assert.equal(turted.recovered, false);
      turted.close();
      await page.is('closed');
      await server.emit('N', { channels: ['chat'] }, 1);
      await server.emit('N', { users: ['adam'] }, 2);
      turted.connect();
      await page.is('connected');
      await page.heard(2);
      assert.deepEqual(page.payloads, [1, 2]);
      assert.deepEqual(page.gaps, []);
      assert.equal(turted.recovered, true);
      assert.deepEqual(page.states.map(({ state }) => state), ['connecting', 'connected', 'closed', 'connecting', 'connected']);
    });
  });
}

describe('a client', { concurrency: true }, () => {
  test('calls handlers in order, with the reason as `this`, and stops when they are taken away', LIMITS, async (t) => {
    const server = await start(t);
    const { turted } = open(t, server.url);
    await turted.join('chat');
    const calls = [];
    const note = (name) =>
      function (payload, meta) {
        assert.equal(this, meta);
        calls.push([name, payload, this.via.channel]);
      };
    const named = note('named');
    turted.on('N', named);
    turted.once('N', note('once'));
    const off = turted.on('*', note('all'));
    turted.on('N', function () {
      turted.off('N', last);
    });
    const last = note('last');
    turted.on('N', last);
    const emit = async (payload) => {
      const arrived = new Promise((resolve) => turted.once('*', resolve));
      await server.emit('N', { channels: ['chat'] }, payload);
      await arrived;
    };
    await emit(1);
    off();
    off();
    await emit(2);
    turted.off('N');
    await emit(3);
    assert.deepEqual(calls, [['named', 1, 'chat'], ['once', 1, 'chat'], ['all', 1, 'chat'], ['named', 2, 'chat']]);
    assert.throws(() => turted.on('N'), { name: 'TypeError', message: 'no handler' });
  });

  test('takes events by the names of its own methods and of JavaScript for events', LIMITS, async (t) => {
    const server = await start(t);
    const page = open(t, server.url);
    await page.is('connected');
    const names = ['error', 'state', 'gap', 'close', '*', '__proto__', 'constructor', 'welcome', 'reply'];
    const heard = [];
    for (const name of names) page.turted.on(name, () => heard.push(name));
    page.turted.off('*');
    for (const name of names) await server.emit(name, { broadcast: true });
    await server.emit('LAST', { broadcast: true }, 1);
    page.turted.on('LAST', () => heard.push('LAST'));
    await server.emit('LAST', { broadcast: true }, 2);
    await until(() => heard.at(-1) === 'LAST');
    assert.deepEqual(heard.filter((name) => name !== 'LAST'), names.filter((name) => name !== '*'));
    assert.deepEqual([page.errors, page.gaps], [[], []]);
  });

  test('reports a handler that throws, and calls the others', LIMITS, async (t) => {
    const server = await start(t);
    const page = open(t, server.url);
    await page.is('connected');
    const thrown = [new Error('sync'), undefined, new Error('async')];
    page.turted.on('N', () => { throw thrown[0]; });
    page.turted.on('N', async () => { throw thrown[2]; });
    page.turted.on('N', () => { throw thrown[1]; });
    const heard = next({ once: (name, f) => page.turted.once(name, f), off: () => {} }, 'N');
    await server.emit('N', { broadcast: true }, 7);
    assert.equal(await heard, 7);
    await until(() => page.errors.length === 3);
    assert.deepEqual(page.errors, thrown);
  });

  test('sums the joins and leaves of one task', LIMITS, async (t) => {
    const server = await start(t);
    const { turted, sent } = open(t, server.url);
    await turted.echo('connected');
    const mounted = turted.join('chat');
    const unmounted = turted.leave('chat');
    const again = turted.join('chat');
    const given = turted.join('gone');
    const taken = turted.leave('gone');
    await Promise.all([mounted, unmounted, again, given, taken]);
    assert.deepEqual(sent.filter(({ do: kind }) => kind === 'join' || kind === 'leave').map(({ id, ...rest }) => rest), [
      { do: 'join', channel: 'chat' },
    ]);
  });

  test('opens one connection if it is connected, closed and connected in one task', LIMITS, async (t) => {
    const server = await start(t);
    let opened = 0;
    class Counted extends WebSocket {
      constructor(url) {
        super(url);
        opened++;
      }
    }
    const page = open(t, server.url, { WebSocket: Counted });
    page.turted.close();
    page.turted.connect();
    await page.is('connected');
    const closed = open(t, server.url, { WebSocket: Counted });
    closed.turted.close();
    await page.turted.echo(1);
    assert.equal(opened, 1);
    assert.deepEqual([closed.turted.state, closed.states], ['closed', []]);
  });

  test('tells of a refusal that nobody handles, once', LIMITS, async (t) => {
    const server = await start(t, MEMBERS);
    const page = open(t, server.url);
    page.turted.join('members');
    page.turted.join('members').then(() => {});
    const handled = await refusal(page.turted.join('members'));
    await assert.rejects(Promise.all([page.turted.join('members')]), { code: 'join-refused' });
    await page.turted.join('members').catch(() => {}).finally(() => {});
    await page.turted.echo('after');
    assert.deepEqual(page.errors.map(({ code }) => code), ['join-refused', 'join-refused']);
    assert.equal(handled.code, 'join-refused');
  });

  test('rejects what waits when it is closed, and says nothing of it', LIMITS, async (t) => {
    const server = await start(t);
    const page = open(t, server.url, { connect: false });
    const { turted } = page;
    const waiting = [turted.join('chat'), turted.echo(1), turted.ident({ username: 'adam' })].map(refusal);
    turted.join('unheard');
    turted.close();
    assert.deepEqual((await Promise.all(waiting)).map(({ code }) => code), ['closed', 'closed', 'closed']);
    assert.equal((await refusal(turted.join('later'))).code, 'closed');
    await turted.leave('later');
    turted.connect();
    await turted.echo('again');
    assert.deepEqual([page.errors, page.requests('join')], [[], []]);
  });

  test('stays away after a close code that says so', LIMITS, async (t) => {
    const server = await start(t, { limits: { message_rate: 1, message_burst: 5, channels_per_connection: 1 } });
    const page = open(t, server.url);
    const lost = Array.from({ length: 20 }, (_, number) => page.turted.echo(number).catch((error) => error.code));
    await page.becomes('closed');
    assert.equal(page.states.at(-1).code, 1008);
    assert.equal((await Promise.all(lost)).at(-1), 'closed');
  });

  test('says what is wrong with its arguments', async () => {
    const socket = { on() {}, emit() {} };
    assert.throws(() => new TURTED('http://127.0.0.1', socket), /the option WebSocket is a class, no socket/);
    assert.throws(() => new TURTED('http://127.0.0.1', { send() {} }), { name: 'TypeError' });
    assert.throws(() => new TURTED('http://127.0.0.1', { transports: [] }), TypeError);
    assert.throws(() => new TURTED('not a URL'), TypeError);
  });

  test('takes other paths, a base with a path, and the scheme of a WebSocket', LIMITS, async (t) => {
    const server = await start(t, { websocket: { path: '/live/socket' }, sockjs: { path: '/live/requests' } });
    const paths = { websocket: '/socket', sockjs: '/requests' };
    const url = `${server.url.replace('http', 'ws')}/live/?a=b`;
    for (const transports of [['websocket'], ['sockjs']]) {
      assert.equal(await open(t, url, { paths, transports }).turted.echo(1), 1);
    }
  });

  test('leaves nothing behind that keeps a process alive, and a refusal does not end one', LIMITS, async (t) => {
    const server = await start(t, MEMBERS);
    const script = `
      const { TURTED } = require(${JSON.stringify(`${DIST}/turted.cjs`)});
      const WebSocket = require('ws');
      (async () => {
        for (const transports of [['websocket'], ['sockjs']]) {
          const turted = new TURTED(process.argv[1], { WebSocket, transports, ident: { username: 'adam' } });
          turted.join('members');
          turted.join('');
          await turted.echo(1);
          turted.close();
          turted.connect();
          await turted.echo(2);
          turted.close();
        }
        new TURTED('http://127.0.0.1:1', { WebSocket }).close();
        const never = new TURTED('http://127.0.0.1:1', { WebSocket });
        never.onState((state) => state === 'waiting' && never.close());
        console.log('done');
      })();`;
    const child = spawn(process.execPath, ['-e', script, server.url], { cwd: `${__dirname}/..` });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, output);
    assert.match(output, /done/);
    assert.equal(output.match(/code: 'channel-missing'/g)?.length, 2, output);
  });
});
