'use strict';
// HTTP without a client library between the test and the bytes.

const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { afterwards } = require('./afterwards');
const { until } = require('./waiting');

/** Sends one request; resolves with `{ status, reason, headers, body }`. */
function request(url, { method = 'GET', headers = {}, body, agent = false } = {}) {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const outgoing = http.request(url, { method, agent, headers: { ...length, ...headers } }, (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode,
          reason: incoming.statusMessage,
          headers: incoming.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A bare TCP connection: `send(text)`, all `received` so far, `match(regex)`, `ended`. */
async function dial(t, port) {
  const socket = net.connect(port, '127.0.0.1');
  afterwards(t, () => socket.destroy());
  await once(socket, 'connect');
  const line = {
    received: '',
    ended: false,
    send: (text) => socket.write(text),
    match: (pattern) => until(() => pattern.exec(line.received), () => `${pattern} in ${line.received}`),
    end: () => until(() => line.ended, 'the server to end the connection'),
  };
  socket.setEncoding('utf8');
  socket.on('data', (text) => (line.received += text));
  socket.on('close', () => (line.ended = true));
  socket.on('error', () => {});
  return line;
}

module.exports = { request, dial };
