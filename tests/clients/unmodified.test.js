'use strict';
// Unexpected behaviour of clients and middleware: each rule is tested with the program in which it was found.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { describe, test } = require('node:test');
const { EventSource } = require('eventsource');
const { EventSourcePolyfill } = require('event-source-polyfill');
const io = require('socket.io-client-1');
const SockJS = require('sockjs-client');
const { WebSocket } = require('ws');
const { afterwards } = require('./afterwards');
const { proxyTo } = require('./proxy');
const { compressed } = require('./proxied');
const { start } = require('./server');
const { V1 } = require('./v1');
const { next, until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
// Names and texts that are longer in UTF-8 than in characters, and one that is not.
const TEXTS = ['Jörg', 'Zoë €', '日本', '😀', 'plain'];
const PYTHON = path.resolve(__dirname, process.env.CLIENTS_PYTHON || '../../target/python/bin/python');
const NO_PYTHON = `${PYTHON} is missing: python3 -m venv target/python && target/python/bin/pip install -r tests/clients/requirements.txt`;

describe('socket.io-client 1.7.4', LIMITS, () => {
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    test(`over ${transports} identifies itself, and receives what was pushed`, async (t) => {
      const server = await start(t);
      for (const name of TEXTS) {
        const socket = io(server.url, { forceNew: true, transports });
        afterwards(t, () => socket.close());
        const answers = [];
        socket.on('OK', (data) => answers.push(data));
        socket.on('EVENT', (event) => answers.push(event));
        socket.on('connect', () => socket.emit('IDENT', { username: name }));
        await until(() => answers.length === 1, 'OK');
        assert.deepEqual(answers, [{ username: name }]);
        // A further packet must not be disturbed by the packets before it.
        await server.emit(name, { users: [name] }, { texts: TEXTS, [name]: 'a'.repeat(10_000) });
        await until(() => answers.length === 2, 'EVENT');
        assert.deepEqual(answers[1], {
          event: name,
          payload: { texts: TEXTS, [name]: 'a'.repeat(10_000) },
          via: { user: name },
        });
      }
    });
  }
});

describe('express with compression', LIMITS, () => {
  test('passes on each event as it comes', async (t) => {
    const server = await start(t);
    const url = await compressed(t, server.url);
    const source = new EventSource(`${url}/sse?channel=chat`);
    afterwards(t, () => source.close());
    const heard = [];
    source.addEventListener('E', ({ data }) => heard.push(JSON.parse(data)));
    await until(() => source.readyState === EventSource.OPEN, 'a stream');
    for (const number of [0, 1, 2]) {
      await server.emit('E', { channels: ['chat'] }, number);
      await until(() => heard.length === number + 1, () => `event ${number} after ${heard}`);
    }
  });

  for (const transport of ['xhr-streaming', 'eventsource', 'xhr-polling']) {
    test(`passes on each frame of SockJS over ${transport}`, async (t) => {
      const server = await start(t);
      const url = await compressed(t, server.url);
      const sock = new SockJS(`${url}/turted`, null, { transports: [transport] });
      afterwards(t, () => sock.close());
      const heard = [];
      sock.onmessage = ({ data }) => heard.push(JSON.parse(data));
      await until(() => sock.readyState === SockJS.OPEN, 'a connection');
      for (const number of [0, 1, 2]) {
        await server.emit('E', { broadcast: true }, number);
        await until(() => heard.length === number + 1, () => `event ${number} after ${heard}`);
      }
    });
  }
});

test('event-source-polyfill goes on from the latest position', LIMITS, async (t) => {
  const server = await start(t, { sse: { retry: '20ms' } });
  const proxy = await proxyTo(t, server);
  const heard = [];
  const first = new EventSource(`${server.url}/sse?channel=chat`);
  first.addEventListener('E', ({ data, lastEventId }) => heard.push([Number(data), lastEventId]));
  await until(() => first.readyState === EventSource.OPEN, 'a stream');
  await server.emit('E', { channels: ['chat'] }, 0);
  await until(() => heard.length === 1);
  first.close();
  // The page gives its position in the parameter that the polyfill uses at each reconnect.
  const address = `${proxy.url}/sse?channel=chat&lastEventId=${heard[0][1]}`;
  const source = new EventSourcePolyfill(address, { heartbeatTimeout: 20_000 });
  afterwards(t, () => source.close());
  source.addEventListener('E', ({ data, lastEventId }) => heard.push([Number(data), lastEventId]));
  let opened = 0;
  let gaps = 0;
  source.addEventListener('open', () => opened++);
  source.addEventListener('turted:gap', () => gaps++);
  await until(() => opened === 1, 'a stream');
  for (const number of [1, 2, 3, 4]) {
    await server.emit('E', { channels: ['chat'] }, number);
    await until(() => heard.length > number, () => `event ${number} after ${heard}`);
    proxy.drop();
    proxy.restore();
    await until(() => opened === number + 1, `stream ${number + 1}`);
  }
  assert.deepEqual([heard.map(([number]) => number), gaps], [[0, 1, 2, 3, 4], 0]);
});

test('httpx-sse shows positions as events without data, and every event once', { ...LIMITS, skip: !fs.existsSync(PYTHON) && NO_PYTHON }, async (t) => {
  const server = await start(t, { sse: { heartbeat: '50ms' } });
  const child = spawn(PYTHON, [path.join(__dirname, 'stream.py'), `${server.url}/sse?channel=chat`]);
  afterwards(t, () => child.kill());
  const events = [];
  readline.createInterface({ input: child.stdout }).on('line', (line) => events.push(JSON.parse(line)));
  await until(() => events.length > 0, 'the start');
  for (const number of [0, 1, 2]) {
    await server.emit('E', { channels: ['chat'] }, number);
    const before = events.length;
    await until(() => events.length > before + 2, 'heartbeats');
  }
  // docs/protocol-sse.md advises this.
  const withData = events.filter(({ data }) => data !== '');
  assert.deepEqual(withData.map(({ event, data }) => [event, data]), [['E', '0'], ['E', '1'], ['E', '2']]);
  assert.ok(events.every(({ id }) => /^[0-9a-f]+-\d+$/.test(id)), JSON.stringify(events.slice(0, 5)));
});

describe('ws with subprotocols', LIMITS, () => {
  test('connects where there are none', async (t) => {
    const server = await start(t);
    const base = server.url.replace('http', 'ws');
    for (const target of ['/socket.io/?EIO=4&transport=websocket', '/socket.io/?EIO=3&transport=websocket', '/turted/websocket']) {
      const socket = new WebSocket(base + target, ['x', 'y']);
      afterwards(t, () => socket.terminate());
      await next(socket, 'open');
      assert.equal(socket.protocol, 'x', target);
    }
  });

  test('is told at /ws what is missing', async (t) => {
    const server = await start(t);
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, ['turted.bearer.T']);
    const answer = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (_, answer) => resolve(answer));
      socket.on('open', () => reject(new Error('a WebSocket')));
      socket.on('error', reject);
    });
    let body = '';
    for await (const part of answer.setEncoding('utf8')) body += part;
    assert.equal(answer.statusCode, 400);
    assert.match(body, /turted\.v1/);
  });
});

test('two pages that share a session do not take it from each other for ever', LIMITS, async (t) => {
  const server = await start(t);
  const url = `${server.url.replace('http', 'ws')}/ws`;
  const open = () => {
    const client = new V1(() => new WebSocket(url));
    afterwards(t, () => client.close());
    return client;
  };
  const first = open();
  await first.join('chat');
  const losses = { first: 0, second: 0 };
  first.onloss = () => losses.first++;
  const second = open();
  await until(() => second.isReady, 'the second page');
  // Pages do this that keep their session where all of their tabs find it.
  Object.assign(second, { session: first.session, cursor: first.cursor });
  second.socket.close();
  await until(() => second.resumed === 1, 'the session');
  second.onloss = () => losses.second++;
  await until(() => first.isClosed, 'the end of the first page');
  await server.emit('E', { channels: ['chat'] });
  await until(() => second.events.length === 1, 'an event');
  assert.deepEqual(losses, { first: 1, second: 0 });
});
