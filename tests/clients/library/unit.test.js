'use strict';
// What no server can be made to do, and what takes too long: the times and close codes of @turted/client, on a clock that the
// test moves and on WebSockets that the test ends.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, mock, test } = require('node:test');
const { buildSync } = require('../../../clients/js/node_modules/esbuild');
const { TURTED } = require('./open');

/** What a file of the sources exports. */
function source(file) {
  const entry = path.resolve(__dirname, '../../../clients/js/src', file);
  const { outputFiles } = buildSync({ entryPoints: [entry], bundle: true, format: 'cjs', write: false, target: 'es2022' });
  const module = { exports: {} };
  new Function('module', 'exports', outputFiles[0].text)(module, module.exports);
  return module.exports;
}

/** A WebSocket that says what the test lets it say. */
function scripted() {
  const sockets = [];
  class Scripted {
    constructor(url) {
      Object.assign(this, { url, sent: [], isClosed: false });
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.isClosed = true;
    }
    says(message) {
      this.onmessage({ data: JSON.stringify(message) });
    }
    welcomes(more = {}) {
      this.says({ welcome: { session: `s${sockets.length}`, cursor: 'a-1', ping_interval_ms: 25_000, message_bytes_max: 65_536, ...more } });
    }
    /** Answers the last request. */
    answers(more = {}) {
      this.says({ reply: this.sent.at(-1).id, ok: true, ...more });
    }
    ends(code, reason = '') {
      this.onclose({ code, reason });
    }
  }
  return { sockets, Scripted };
}

/** Lets promises settle; the clock stands still meanwhile. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Moves the clock in steps, so that timers that timers set run too. */
async function pass(ms) {
  for (let left = ms; left > 0; left -= 1000) {
    mock.timers.tick(Math.min(left, 1000));
    await settle();
  }
}

/** A client over scripted WebSockets, on a clock that stands still. */
async function client(t, options = {}) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', () => 0);
  const { sockets, Scripted } = scripted();
  const turted = new TURTED('http://server.example', { WebSocket: Scripted, transports: ['websocket'], ...options });
  const states = [];
  turted.onState((state, { code }) => states.push(code === undefined ? state : `${state} ${code}`));
  t.after(async () => {
    turted.close();
    await settle();
    mock.timers.reset();
    mock.restoreAll();
  });
  await settle();
  return { turted, sockets, states };
}

describe('waits', () => {
  test('double from 1 s to 30 s, and are up to half shorter', () => {
    const { backoff } = source('backoff.ts');
    mock.method(Math, 'random', () => 0);
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 100].map((tries) => backoff(tries)), [1, 2, 4, 8, 16, 30, 30, 30].map((s) => s * 1000));
    assert.deepEqual([0, 1, 2].map((tries) => backoff(tries, { min: 50, max: 100 })), [50, 100, 100]);
    mock.restoreAll();
    mock.method(Math, 'random', () => 0.999_999);
    assert.ok(backoff(0) > 500 && backoff(0) < 501);
    mock.restoreAll();
  });

  test('begin again after a welcome', async (t) => {
    const { sockets } = await client(t);
    for (const wait of [1000, 2000, 4000]) {
      sockets.at(-1).ends(1006);
      const before = sockets.length;
      await pass(wait - 1);
      assert.equal(sockets.length, before);
      await pass(1);
      assert.equal(sockets.length, before + 1);
    }
    sockets.at(-1).welcomes();
    sockets.at(-1).ends(1006);
    const before = sockets.length;
    await pass(1000);
    assert.equal(sockets.length, before + 1);
  });
});

describe('timers', () => {
  test('are at most 24.8 days long, because longer ones fire at once', async (t) => {
    const set = [];
    const { sockets } = await client(t, { getToken: () => 'token' });
    sockets[0].welcomes();
    await pass(1);
    const { setTimeout } = globalThis;
    mock.method(globalThis, 'setTimeout', (action, ms) => (set.push(ms), setTimeout(action, ms)));
    sockets[0].answers({ username: 'adam', expires_in_ms: 400 * 24 * 3600 * 1000 });
    assert.ok(set.includes(2 ** 31 - 1));
    assert.ok(set.every((ms) => ms < 2 ** 31));
  });

  test('that fire late wait once more before they give a connection up', (t) => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    t.after(() => mock.timers.reset());
    const { setPatientTimer } = source('timer.ts');
    const given = [];
    setPatientTimer({}, 5000, () => given.push('late'));
    // The page was frozen: the clock went on, and the timer did not fire.
    mock.timers.setTime(Date.now() + 60_000);
    mock.timers.tick(1);
    assert.deepEqual(given, []);
    mock.timers.tick(5000);
    assert.deepEqual(given, ['late']);
    setPatientTimer({}, 5000, () => given.push('in time'));
    mock.timers.tick(5000);
    assert.deepEqual(given, ['late', 'in time']);
  });

  test('renew a token at 80 % of its life, and not while it is away', async (t) => {
    const calls = [];
    const { sockets } = await client(t, { getToken: ({ reason }) => (calls.push(reason), `token ${calls.length}`) });
    sockets[0].welcomes();
    await pass(1);
    sockets[0].answers({ username: 'adam', expires_in_ms: 100_000 });
    await pass(25_000);
    sockets[0].answers();
    await pass(25_000);
    sockets[0].answers();
    await pass(25_000);
    sockets[0].answers();
    await pass(4_000);
    assert.deepEqual(calls, ['first']);
    await pass(1000);
    assert.deepEqual(calls, ['first', 'expires']);
  });
});

describe('close codes', () => {
  for (const code of [1002, 1003, 1007, 1008, 1009, 4000, 4001, 4099]) {
    test(`${code}: the client stays away, whatever the page hears`, async (t) => {
      const { turted, sockets, states } = await client(t);
      sockets[0].welcomes();
      const lost = turted.echo(1).catch((error) => error.code);
      await settle();
      sockets[0].ends(code, 'no');
      assert.equal(await lost, 'closed');
      await pass(120_000);
      assert.equal(sockets.length, 1);
      assert.deepEqual([turted.state, states.at(-1)], ['closed', `closed ${code}`]);
    });
  }

  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 3000, 4100, 4101, 4199, 4200]) {
    test(`${code}: the client comes back after 1 s`, async (t) => {
      const { sockets, states } = await client(t);
      sockets[0].welcomes();
      sockets[0].ends(code);
      await pass(1000);
      assert.equal(sockets.length, 2);
      assert.equal(states.at(-2), `waiting ${code}`);
    });
  }

  test('1013: the client comes back after 30 s, and nothing shortens that', async (t) => {
    const page = new EventTarget();
    globalThis.addEventListener = page.addEventListener.bind(page);
    t.after(() => delete globalThis.addEventListener);
    const { sockets } = await client(t);
    sockets[0].welcomes();
    sockets[0].ends(1013);
    for (const type of ['online', 'pageshow', 'resume']) page.dispatchEvent(new Event(type));
    await pass(29_999);
    assert.equal(sockets.length, 1);
    await pass(1);
    assert.equal(sockets.length, 2);
    // The wait after another end is shortened.
    sockets[1].ends(1006);
    page.dispatchEvent(new Event('online'));
    assert.equal(sockets.length, 3);
  });

  for (const [code, state] of [[1013, 'waiting'], [1008, 'closed'], [4001, 'closed']]) {
    test(`${code} without a welcome is no reason to try the other transport`, async (t) => {
      const asked = mock.method(globalThis, 'fetch', async () => new Response(null, { status: 400 }));
      const { sockets, states } = await client(t, { transports: ['websocket', 'sockjs'] });
      sockets[0].ends(1006);
      await pass(1000);
      sockets[1].ends(code);
      await pass(29_999);
      assert.deepEqual([sockets.length, asked.mock.callCount(), states.at(-1)], [2, 0, `${state} ${code}`]);
    });
  }

  test('of a socket that was given up are ignored', async (t) => {
    const { turted, sockets } = await client(t);
    await pass(5000);
    assert.equal(sockets[0].isClosed, true);
    await pass(1000);
    sockets[1].welcomes();
    assert.equal(turted.state, 'connected');
    sockets[0].welcomes({ connection: 'late' });
    sockets[0].ends(4001);
    assert.deepEqual([turted.state, turted.connection], ['connected', undefined]);
  });
});

describe('history', () => {
  const of = (number, more = {}) => ({ event: 'N', payload: number, via: { channel: 'c' }, position: `a-${number}`, replayed: true, ...more });
  const heard = (turted) => {
    const numbers = [];
    turted.on('N', (number) => numbers.push(number));
    return numbers;
  };

  test('that was cut in the middle goes on behind its last event, and one that nothing came of begins again', async (t) => {
    const { turted, sockets } = await client(t);
    const numbers = heard(turted);
    turted.join('c', { history: 3 });
    sockets[0].welcomes({ connection: 'A' });
    await settle();
    const { id, ...asked } = sockets[0].sent.at(-1);
    assert.deepEqual(asked, { do: 'join', channel: 'c', history: 3 });
    sockets[0].answers({ channel: 'c', replayed: 3, complete: true });
    for (const [index, since] of [[1, undefined], [2, 'a-2']]) {
      if (since) sockets[index - 1].says(of(2));
      sockets[index - 1].ends(1006);
      await pass(1000);
      sockets[index].welcomes({ connection: 'B' });
      await settle();
      sockets[index].answers({ session: 's1', replayed: 0, connection: 'A' });
      await settle();
      assert.equal(sockets[index].sent.at(-1).do, 'leave');
      sockets[index].answers({ channel: 'c' });
      await settle();
      assert.deepEqual([sockets[index].sent.at(-1).since, sockets[index].sent.at(-1).history], [since, since ? undefined : 3]);
      sockets[index].answers({ channel: 'c', replayed: 2, complete: true });
    }
    sockets[2].says(of(3));
    sockets[2].says(of(4));
    assert.deepEqual(numbers, [2, 3, 4]);
  });

  test('after a gap begins behind the last cursor, and what the page has seen does not come again', async (t) => {
    const { turted, sockets } = await client(t);
    const numbers = heard(turted);
    turted.join('c', { history: 3 });
    sockets[0].welcomes({ connection: 'A' });
    await settle();
    sockets[0].answers({ channel: 'c', replayed: 0, complete: true });
    sockets[0].says({ event: 'N', payload: 5, via: { channel: 'c' }, cursor: 'a-5' });
    sockets[0].says({ event: 'N', payload: 6, via: { user: 'adam' }, cursor: 'a-6' });
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ connection: 'B', cursor: 'a-9' });
    await settle();
    sockets[1].says({ reply: sockets[1].sent.at(-1).id, ok: false, error: { code: 'gap', reason: 'too much' } });
    await settle();
    const { id, ...asked } = sockets[1].sent.at(-1);
    assert.deepEqual(asked, { do: 'join', channel: 'c', since: 'a-6' });
    sockets[1].answers({ channel: 'c', replayed: 3, complete: true });
    [5, 6, 7].forEach((number) => sockets[1].says(of(number)));
    assert.deepEqual(numbers, [5, 6, 7]);
  });
});

describe('presence', () => {
  test('is added up, named or not, and belongs to one channel each', async (t) => {
    const { turted, sockets } = await client(t);
    const told = [];
    turted.onPresence(({ channel, users, count }) => told.push([channel, users, count]));
    ['a', 'b'].forEach((channel) => turted.join(channel, { presence: true }));
    turted.join('c');
    sockets[0].welcomes({ connection: 'A' });
    await settle();
    const asked = sockets[0].sent.map(({ id, ...request }) => request);
    assert.deepEqual(asked, [{ do: 'join', channels: ['a', 'b'], presence: true }, { do: 'join', channel: 'c' }]);
    const says = (presence) => sockets[0].says({ presence: { anonymous: 0, ...presence } });
    says({ channel: 'a', users: ['x', 'y'], count: 2 });
    says({ channel: 'b', users: ['z'], count: 1 });
    says({ channel: 'a', joined: ['w'], left: ['x'], count: 2 });
    says({ channel: 'a', count: 1_001 });
    says({ channel: 'a', users: ['x'], count: 1 });
    says({ channel: 'never joined', users: ['x'], count: 1 });
    assert.deepEqual(told, [
      ['a', ['x', 'y'], 2],
      ['b', ['z'], 1],
      ['a', ['y', 'w'], 2],
      ['a', undefined, 1_001],
      ['a', ['x'], 1],
    ]);
  });

  const refused = { ok: false, error: { code: 'presence-refused', reason: 'the channel has no presence' } };
  for (const [when, pause] of [['at once', () => {}], ['while the other one has no answer', settle]]) {
    test(`is refused alone where a join without it stands: ${when}`, async (t) => {
      const { turted, sockets } = await client(t);
      sockets[0].welcomes({ connection: 'A' });
      await settle();
      const before = sockets[0].sent.length;
      const outcomes = [];
      const note = (name, joined) => joined.then(() => outcomes.push(name), ({ code }) => outcomes.push(`${name}: ${code}`));
      note('plain', turted.join('c'));
      await pause();
      note('wish', turted.join('c', { presence: true }));
      for (let answered = before; ; await settle()) {
        await settle();
        if (answered === sockets[0].sent.length) break;
        answered = sockets[0].sent.length;
        sockets[0].answers(sockets[0].sent.at(-1).presence ? refused : { channel: 'c' });
      }
      assert.deepEqual(outcomes.toSorted(), ['plain', 'wish: presence-refused']);
      const asked = sockets[0].sent.slice(before).map(({ id, ...request }) => request);
      const [plain, wish] = [{ do: 'join', channel: 'c' }, { do: 'join', channel: 'c', presence: true }];
      assert.equal(asked.at(-1).presence, undefined);
      assert.deepEqual(asked.slice(0, 2).toSorted((a, b) => !!a.presence - !!b.presence), [plain, wish]);
      const left = turted.leave('c');
      await settle();
      assert.equal(sockets[0].sent.at(-1).do, 'leave', 'the plain join is held once');
      sockets[0].answers({ channel: 'c' });
      await left;
    });
  }
});

describe('a session', () => {
  test('takes the reply to resume into account before an event that comes with it', async (t) => {
    const { turted, sockets } = await client(t);
    const heard = [];
    turted.on('*', (payload, { cursor }) => heard.push([payload, cursor]));
    sockets[0].welcomes();
    sockets[0].says({ event: 'N', payload: 1, via: { broadcast: true }, cursor: 'a-2' });
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ cursor: 'a-9' });
    const [resume] = sockets[1].sent;
    assert.deepEqual(resume, { id: resume.id, do: 'resume', session: 's1', cursor: 'a-2' });
    sockets[1].says({ event: 'N', payload: 'of the new session', via: { broadcast: true }, cursor: 'a-10' });
    sockets[1].answers({ session: 's1b', replayed: 2, connection: 'public', username: 'adam' });
    sockets[1].says({ event: 'N', payload: 2, via: { broadcast: true }, cursor: 'a-3' });
    assert.deepEqual(heard, [[1, 'a-2'], [2, 'a-3']]);
    assert.deepEqual([turted.recovered, turted.connection, turted.user], [true, 'public', 'adam']);
    sockets[1].ends(1006);
    await pass(1000);
    sockets[2].welcomes();
    assert.deepEqual([sockets[2].sent[0].session, sockets[2].sent[0].cursor], ['s1b', 'a-3']);
  });

  test('moves its cursor with the answer to a ping after a silence', async (t) => {
    const { sockets } = await client(t);
    sockets[0].welcomes();
    await pass(25_000);
    assert.equal(sockets[0].sent.at(-1).do, 'ping');
    sockets[0].answers({ cursor: 'a-500' });
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes();
    assert.equal(sockets[1].sent[0].cursor, 'a-500');
  });

  test('is given up if a ping has no answer for 10 s, and resumed at once', async (t) => {
    const { sockets } = await client(t);
    sockets[0].welcomes();
    await pass(34_999);
    assert.equal(sockets.length, 1);
    await pass(1);
    assert.deepEqual([sockets.length, sockets[0].isClosed], [2, true]);
  });

  test('shows itself again if the connection broke before the reply to resume', async (t) => {
    const { sockets } = await client(t);
    sockets[0].welcomes();
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ session: 'another', cursor: 'a-7' });
    sockets[1].ends(1006);
    await pass(1000);
    sockets[2].welcomes();
    assert.deepEqual([sockets[2].sent[0].session, sockets[2].sent[0].cursor], ['s1', 'a-1']);
  });

  test('does not join a channel again that an operator has taken it out of, until the page asks', async (t) => {
    const { turted, sockets } = await client(t);
    const errors = [];
    turted.onError(({ code, rule }) => errors.push([code, rule]));
    sockets[0].welcomes({ connection: 'first' });
    for (const channel of ['chat', 'news']) {
      const joined = turted.join(channel);
      await settle();
      sockets[0].answers({ channel });
      await joined;
    }
    const before = sockets[0].sent.length;
    sockets[0].says({ left: ['chat', 'unknown'] });
    await settle();
    assert.deepEqual([errors, sockets[0].sent.length], [[['removed', 'chat']], before]);
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ connection: 'second' });
    sockets[1].answers({ ok: false, error: { code: 'session-unknown' } });
    await settle();
    assert.deepEqual(sockets[1].sent.filter(({ do: what }) => what === 'join').map(({ channel }) => channel), ['news']);
    const joined = turted.join('chat');
    await settle();
    assert.equal(sockets[1].sent.at(-1).channel, 'chat');
    sockets[1].answers({ channel: 'chat' });
    await joined;
  });

  test('joins its channels again if an ident that may have left them has no answer', async (t) => {
    const { turted, sockets } = await client(t);
    sockets[0].welcomes({ connection: 'first' });
    turted.join('chat');
    await settle();
    sockets[0].answers({ channel: 'chat' });
    const user = turted.ident({ username: 'eve' });
    await settle();
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ connection: 'second' });
    sockets[1].answers({ session: 's2', replayed: 0, connection: 'second', username: 'eve' });
    sockets[1].answers({ username: 'eve' });
    assert.equal(await user, 'eve');
    const { id, ...last } = sockets[1].sent.at(-1);
    assert.deepEqual(last, { do: 'join', channel: 'chat' });
  });

  test('is nobody, and tells of a gap, if it is resumed without the user that it had', async (t) => {
    const tokens = ['first', 'second'];
    const { turted, sockets } = await client(t, { getToken: () => tokens.shift() });
    const gaps = [];
    turted.onGap(({ code }) => gaps.push(code));
    turted.join('chat');
    await settle();
    sockets[0].welcomes({ connection: 'first' });
    await pass(1);
    sockets[0].answers({ username: 'adam', expires_in_ms: 5000 });
    sockets[0].answers({ channel: 'chat' });
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ connection: 'second' });
    sockets[1].answers({ session: 's2', replayed: 0, connection: 'second' });
    assert.equal(turted.user, undefined);
    await pass(1000);
    assert.deepEqual(sockets[1].sent.at(-1).data, { token: 'second' });
    assert.deepEqual(gaps, []);
    sockets[1].answers({ username: 'adam', expires_in_ms: 5000 });
    assert.equal(sockets[1].sent.at(-1).channel, 'chat');
    sockets[1].answers({ channel: 'chat' });
    assert.deepEqual([gaps, turted.user], [['token-expired'], 'adam']);
  });

  test('joins many channels with one request if the server knows how, and one by one if not', async (t) => {
    const { turted, sockets } = await client(t);
    for (const channel of ['a', 'b', 'c']) turted.join(channel).catch(() => {});
    await settle();
    sockets[0].welcomes();
    assert.deepEqual(sockets[0].sent.map(({ channel }) => channel), ['a', 'b', 'c']);
    sockets[0].ends(1006);
    await pass(1000);
    sockets[1].welcomes({ connection: 'public' });
    sockets[1].says({ reply: sockets[1].sent[0].id, ok: false, error: { code: 'session-unknown', reason: 'unknown' } });
    assert.deepEqual(sockets[1].sent[1].channels, ['a', 'b', 'c']);
  });
});

test('after five minutes over the second transport the first one is tried beside it, cuts or not', async (t) => {
  const requests = [];
  const streams = [];
  const encoder = new TextEncoder();
  const frame = (message) => encoder.encode(`a${JSON.stringify([JSON.stringify(message)])}\n`);
  // A server that lets no WebSocket through cannot be made to wait five minutes.
  mock.method(globalThis, 'fetch', async (url, { body }) => {
    requests.push(url.split('/').pop());
    for (const { id, do: command } of JSON.parse(body ?? '[]').map((text) => JSON.parse(text))) {
      if (command === 'resume') streams.at(-1).enqueue(frame({ reply: id, ok: true, session: 's' }));
    }
    if (body) return new Response(null, { status: 204 });
    const start = (stream) => {
      streams.push(stream);
      stream.enqueue(encoder.encode('o\n'));
      stream.enqueue(frame({ welcome: { session: 's', cursor: 'a-1', ping_interval_ms: 25_000_000, message_bytes_max: 65_536 } }));
    };
    return new Response(new ReadableStream({ start }));
  });
  const { turted, sockets } = await client(t, { transports: ['websocket', 'sockjs'] });
  sockets[0].ends(1006);
  await pass(1000);
  sockets[1].ends(1006);
  const becomes = async (state) => {
    for (let turn = 0; turn < 20 && turted.state !== state; turn++) await settle();
    assert.equal(turted.state, state);
  };
  await becomes('connected');
  await pass(199_000);
  streams[0].error(new Error('cut'));
  await becomes('waiting');
  await pass(1000);
  await becomes('connected');
  assert.equal(turted.recovered, true);
  await pass(99_000);
  assert.deepEqual([streams.length, sockets.length], [2, 2]);
  await pass(1000);
  assert.equal(sockets.length, 3);
  sockets[2].ends(1006);
  assert.equal(turted.state, 'connected');
  await pass(300_000);
  sockets[3].welcomes();
  assert.equal(sockets[3].sent[0].do, 'resume');
  assert.ok(requests.length >= 2);
});

test('the URL is a base: the origin of the page if it is left out, and a path stays in front', async (t) => {
  globalThis.location = { href: 'http://page.example/app/page.html?a#b' };
  t.after(() => delete globalThis.location);
  const { sockets, Scripted } = scripted();
  const bases = [undefined, '/', 'http://server.example/base/', 'WS://server.example', new URL('https://server.example?a')];
  for (const base of bases) {
    const turted = new TURTED(base, { WebSocket: Scripted });
    await settle();
    turted.close();
  }
  await settle();
  assert.deepEqual(sockets.map(({ url }) => url), [
    'ws://page.example/ws',
    'ws://page.example/ws',
    'ws://server.example/base/ws',
    'ws://server.example/ws',
    'wss://server.example/ws',
  ]);
});
