'use strict';
// The test services of `turted conformance`, with the clients that the suites were written for: text and
// binary messages of every generation come back as they were sent, and events with binary data are acked.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { until, next, acknowledged } = require('./waiting');

const BINARY = path.resolve(__dirname, process.env.TURTED_BIN || '../../target/debug/turted');
const SERVICES = /test services on (http:\/\/\S+)/;

const ENGINES = [
  { name: 'engine.io-client 3.5', open: require('engine.io-client-3') },
  { name: 'engine.io-client 4.1', open: require('engine.io-client-4') },
  { name: 'engine.io-client 6.6', open: (url, options) => new (require('engine.io-client-6').Socket)(url, options) },
];
const SOCKETS = [
  { name: 'socket.io-client 2.5', io: require('socket.io-client-2') },
  { name: 'socket.io-client 3.1', io: require('socket.io-client-3') },
  { name: 'socket.io-client 4.x', io: require('socket.io-client-4') },
];
const WAYS = [['polling'], ['websocket'], ['polling', 'websocket']];

/** The services as a child process on a free port, until the end of the test: their address. */
async function start(t) {
  const child = spawn(BINARY, ['conformance', '--listen', '127.0.0.1:0', '--sockjs-listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  afterwards(t, async () => {
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  return (await until(() => SERVICES.exec(output), 'the services'))[1];
}

for (const { name, open } of ENGINES) {
  for (const transports of WAYS) {
    test(`${name} over ${transports.join(', then ')} gets back what it sends`, async (t) => {
      const socket = open(await start(t), { path: '/engine.io/', transports });
      socket.binaryType = 'arraybuffer';
      const received = [];
      socket.on('message', (data) => received.push(typeof data === 'string' ? data : [...new Uint8Array(data)]));
      afterwards(t, () => socket.close());
      await next(socket, 'open');
      if (transports.length > 1) await next(socket, 'upgrade');
      for (const text of ['hello', 'é€😀 "q" \\ \\n \n', 'x'.repeat(70_000)]) socket.send(text);
      socket.send(new Uint8Array([0, 1, 2, 255]).buffer);
      socket.send('behind');
      await until(() => received.length === 5, () => JSON.stringify(received));
      assert.deepEqual(received.slice(3), [[0, 1, 2, 255], 'behind']);
      assert.equal(received[1], 'é€😀 "q" \\ \\n \n');
      assert.equal(received[2].length, 70_000);
    });
  }
}

describe('engine.io-client stays connected by its heartbeats', () => {
  for (const { name, open } of ENGINES) {
    test(name, async (t) => {
      const socket = open(await start(t), { path: '/engine.io/' });
      let closed = false;
      socket.on('close', () => (closed = true));
      await next(socket, 'open');
      // Longer than the 500 ms after which a silent client is closed.
      let beats = 0;
      socket.on('heartbeat', () => beats++);
      socket.on('pong', () => beats++);
      await until(() => beats >= 3 || closed, 'three heartbeats');
      assert.equal(closed, false);
      socket.close();
      await until(() => closed, 'its end');
    });
  }
});

for (const { name, io } of SOCKETS) {
  for (const transports of WAYS) {
    test(`${name} over ${transports.join(', then ')} has its events and acks answered, binary ones too`, async (t) => {
      const url = await start(t);
      const socket = io(url, { transports, forceNew: true, auth: { token: '123' } });
      afterwards(t, () => socket.disconnect());
      const greeting = await next(socket, 'auth');
      assert.deepEqual(greeting, name.includes(' 2.') ? {} : { token: '123' });
      const back = new Promise((resolve) => socket.once('message-back', (...args) => resolve(args)));
      const bytes = Buffer.from([0, 1, 2, 255]);
      socket.emit('message', 1, 'é😀', { nested: [bytes, bytes.subarray(0, 0)] }, null);
      assert.deepEqual(await back, [1, 'é😀', { nested: [bytes, Buffer.alloc(0)] }, null]);
      assert.deepEqual(await acknowledged(socket, 'message-with-ack', bytes), bytes);
      assert.deepEqual(await acknowledged(socket, 'message-with-ack', { text: true }), { text: true });

      // It connects at once, because its manager is connected.
      const custom = socket.io.socket('/custom', { auth: { token: 'abc' } });
      await next(custom, 'auth');
      assert.deepEqual(await acknowledged(custom, 'message-with-ack', bytes), bytes);
      custom.disconnect();
      const unknown = socket.io.socket('/unknown');
      const error = next(unknown, name.includes(' 2.') ? 'error' : 'connect_error');
      assert.match(String((await error).message ?? (await error)), /Invalid namespace/);
      unknown.disconnect();
      assert.equal(await acknowledged(socket, 'message-with-ack', 'here'), 'here');
    });
  }
}
