'use strict';
// The services of `turted conformance` for the suites of engine.io-client and socket.io-client. The registry
// does not have these suites, so the same clients ask here for what the suites ask for. tests/suites runs a
// checkout of them.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { until, next, acknowledged } = require('./waiting');
const { Socket: EngineSocket } = require('engine.io-client-6');
const io = require('socket.io-client-4');

const BINARY = path.resolve(__dirname, process.env.TURTED_BIN || '../../target/debug/turted');
const FREE = '127.0.0.1:0';

/** The services as a child process on free ports, until the end of the test. */
async function start(t) {
  const listen = ['listen', 'sockjs-listen', 'engine-client-listen', 'socketio-client-listen'];
  const flags = listen.flatMap((name) => [`--${name}`, FREE]);
  const child = spawn(BINARY, ['conformance', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  afterwards(t, async () => {
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const urls = await until(() => output.endsWith('\n') && output.match(/http:\/\/\S+/g), 'the services');
  assert.equal(urls.length, 4, output);
  return { engine: urls[2], socketio: urls[3] };
}

function engine(t, url, options = {}) {
  const socket = new EngineSocket(url, { path: '/engine.io/', ...options });
  afterwards(t, () => socket.close());
  const heard = [];
  socket.binaryType = 'arraybuffer';
  socket.on('message', (data) => heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)]));
  return { socket, heard };
}

describe('the service of engine.io-client', () => {
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    test(`greets, echoes and answers questions over ${transports.join(', then ')}`, async (t) => {
      const { engine: url } = await start(t);
      const { socket, heard } = engine(t, url, { transports });
      await next(socket, 'open');
      await until(() => heard.length === 1);
      for (const text of ['cash money €€€', 'give binary', 'give utf8']) socket.send(text);
      socket.send(new Uint8Array([9, 0]).buffer);
      await until(() => heard.length === 5, () => JSON.stringify(heard));
      assert.deepEqual(heard, ['hi', 'cash money €€€', [0, 1, 2, 3, 4], 'пойду спать всем спокойной ночи', [9, 0]]);
    });
  }

  test('splits what is sent by a payload of 100 bytes, and refuses more', async (t) => {
    const { engine: url } = await start(t);
    const { socket, heard } = engine(t, url, { transports: ['polling'] });
    await next(socket, 'open');
    const texts = ['a'.repeat(99), 'b'.repeat(30), 'c'.repeat(30), 'd'.repeat(35), '€'.repeat(33), 'f'.repeat(99)];
    texts.forEach((text) => socket.send(text));
    await until(() => heard.length === 7, () => JSON.stringify(heard));
    assert.deepEqual(heard.slice(1), texts);
    const large = engine(t, url, { transports: ['polling'] });
    large.socket.once('open', () => large.socket.send('a'.repeat(101)));
    assert.equal((await next(large.socket, 'error')).description, 413);

    const websocket = engine(t, url, { transports: ['websocket'] });
    await next(websocket.socket, 'open');
    const closed = new Promise((resolve) => websocket.socket.once('close', (_reason, details) => resolve(details)));
    websocket.socket.send('a'.repeat(101));
    assert.equal((await closed).context.code, 1009);
  });

  test('sets cookies and tells which came back', async (t) => {
    const { engine: url } = await start(t);
    for (const [withCredentials, expected] of [[true, { cookie: '1=1; 2=2' }], [false, {}]]) {
      const { socket, heard } = engine(t, url, { transports: ['polling'], withCredentials });
      await next(socket, 'open');
      await until(() => heard.length === 1);
      socket.send('sendHeaders');
      await until(() => heard.length === 2);
      assert.deepEqual(JSON.parse(heard[1]), expected);
    }
  });

  test('refuses a handshake that asks to be refused', async (t) => {
    const { engine: url } = await start(t);
    for (const [first, second] of [['websocket', 'polling'], ['polling', 'websocket']]) {
      const transportOptions = { [first]: { query: { deny: 1 } } };
      const { socket } = engine(t, url, { transports: [first, second], transportOptions, tryAllTransports: true });
      await next(socket, 'open');
      assert.equal(socket.transport.name, second);
    }
  });
});

function client(t, url, options = {}) {
  const socket = io(url, { forceNew: true, ...options });
  afterwards(t, () => socket.disconnect());
  return socket;
}

describe('the service of socket.io-client', () => {
  test('answers each event in its own way', async (t) => {
    const { socketio: url } = await start(t);
    const socket = client(t, url);
    const back = async (event, reply, ...args) => {
      const heard = next(socket, reply);
      socket.emit(event, ...args);
      return heard;
    };
    await back('hi', 'hi');
    assert.equal(await acknowledged(socket, 'echo', 123), 123);
    assert.equal(await acknowledged(socket, 'getId'), socket.id);
    assert.notEqual(socket.id, socket.io.engine.id);
    assert.equal(typeof (await acknowledged(socket, 'getAckDate', { test: true })), 'string');
    assert.equal(typeof (await back('getDate', 'takeDate')), 'string');
    assert.equal(typeof (await back('getDateObj', 'takeDateObj')).date, 'string');
    assert.equal(await back('false', 'false'), false);
    assert.equal(String(await back('doge', 'doge')), 'asdfasdf');
    assert.equal(String(await back('getbin', 'takebin')), 'asdfasdf');
    const bytes = Buffer.from('bytes');
    const mixed = { hello: 'lol', message: bytes, goodbye: 'gotcha' };
    await back('buffa', 'buffack', bytes);
    await back('jsonbuff', 'jsonbuff-ack', mixed);
    await back('blob', 'back', bytes);
    await back('jsonblob', 'jsonblob-ack', mixed);
    socket.emit('abuff1', bytes);
    await back('abuff2', 'abuff2-ack', 'second');
    socket.emit('blob1', bytes).emit('blob2', 'second');
    await back('blob3', 'blob3-ack', bytes);
    const texts = [];
    socket.on('takeUtf8', (text) => texts.push(text));
    socket.emit('getUtf8');
    await until(() => texts.length === 5);
    assert.deepEqual(texts, ['てすと', 'Я Б Г Д Ж Й', 'Ä ä Ü ü ß', 'utf8 — string', 'utf8 — string']);
    socket.on('ack', (answer) => answer(5, { test: true }));
    await back('ack', 'got it');
  });

  test('has its namespaces, of which one refuses every client', async (t) => {
    const { socketio: url } = await start(t);
    for (const name of ['/foo', '/timeout_socket', '/valid', '/asd']) {
      await next(client(t, url + name), 'connect');
    }
    const foo = client(t, `${url}/foo`);
    assert.equal(await acknowledged(foo, 'getId'), foo.id);
    const refused = async (path, options) => (await next(client(t, url + path, options), 'connect_error')).message;
    assert.equal(await refused('/no'), 'Auth failed (custom namespace)');
    assert.equal(await refused('/', { query: { fail: true } }), 'Auth failed (main namespace)');
    assert.equal(await refused('/other'), 'Invalid namespace');
    const first = client(t, `${url}/foo`, { forceNew: false });
    await next(first, 'connect');
    const second = first.io.socket('/asd');
    await next(second, 'connect');
    first.disconnect();
    assert.ok(second.connected, 'leaving one namespace is not leaving all');
    second.disconnect();
  });

  test('tells what came with the handshake', async (t) => {
    const { socketio: url } = await start(t);
    const told = (path, options) => next(client(t, url + path, options), 'handshake');
    assert.equal((await told('/abc', { query: { '&a': '&=?a' } })).query['&a'], '&=?a');
    assert.equal((await told('/abc?b=c&d=e')).query.d, 'e');
    const { auth, query } = await told('/abc', { auth: { a: 'b', c: 'd' } });
    assert.deepEqual([auth, query.a], [{ a: 'b', c: 'd' }, undefined]);
    assert.equal((await acknowledged(client(t, `${url}/?c=d`), 'getHandshake')).query.c, 'd');
  });

  test('gives a client its session back', async (t) => {
    const { socketio: url } = await start(t);
    const socket = client(t, url, { reconnectionDelay: 10 });
    const heard = next(socket, 'hi');
    socket.emit('hi');
    await heard;
    const id = socket.id;
    assert.equal(socket.recovered, false);
    socket.io.engine.close();
    await next(socket, 'connect');
    assert.deepEqual([socket.id, socket.recovered], [id, true]);
  });
});
