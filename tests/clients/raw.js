'use strict';
// Engine.IO by hand, over a bare WebSocket or over polling requests.

const { once } = require('node:events');
const WebSocket = require('ws');
const { afterwards } = require('./afterwards');
const { request } = require('./http');
const { until } = require('./waiting');

class RawSocket {
  constructor(socket) {
    this.socket = socket;
    this.frames = [];
    this.closed = false;
    socket.on('message', (data, binary) => this.frames.push(binary ? data : data.toString('utf8')));
    socket.on('close', () => (this.closed = true));
    socket.on('error', () => {});
  }

  send(frame) {
    this.socket.send(frame);
  }

  /** The next frame that has not been read yet. */
  async frame() {
    await until(() => this.frames.length > 0 || this.closed, 'a frame');
    if (this.frames.length === 0) throw new Error('the server closed the connection');
    return this.frames.shift();
  }

  /** Sends `packet` and returns the frame that answers it. */
  async ask(packet) {
    this.send(packet);
    return this.frame();
  }

  close() {
    return until(() => this.closed, 'the server to close the connection');
  }
}

/** A WebSocket to the Engine.IO endpoint. Nothing is read from it yet. */
async function dialSocket(t, server, eio, query = '') {
  const url = `ws://127.0.0.1:${server.port}/socket.io/?EIO=${eio}&transport=websocket${query}`;
  const socket = new WebSocket(url, { perMessageDeflate: false });
  afterwards(t, () => socket.terminate());
  const raw = new RawSocket(socket);
  await once(socket, 'open');
  return raw;
}

/** A WebSocket that is connected to the default namespace. */
async function connectSocket(t, server, eio) {
  const raw = await dialSocket(t, server, eio);
  raw.handshake = await raw.frame();
  raw.connected = eio === 4 ? await raw.ask('40') : await raw.frame();
  return raw;
}

/** A polling session: `get()` and `post(body)` resolve with `{ status, headers, body }`. */
class Polling {
  constructor(server, eio, query = '', headers = {}) {
    this.url = `${server.url}/socket.io/?EIO=${eio}&transport=polling${query}`;
    this.headers = headers;
  }

  async handshake() {
    const answer = await request(this.url, { headers: this.headers });
    this.sid = /\\?"sid\\?":\\?"([^"\\]+)\\?"/.exec(answer.body)?.[1];
    return answer;
  }

  get sessionUrl() {
    return `${this.url}&sid=${this.sid}`;
  }

  get() {
    return request(this.sessionUrl, { headers: this.headers });
  }

  post(body, type = 'text/plain;charset=UTF-8') {
    return request(this.sessionUrl, { method: 'POST', body, headers: { ...this.headers, 'Content-Type': type } });
  }
}

/** The Engine.IO 3 framing of one packet: its length in UTF-16 code units. */
function framed(packet) {
  return `${packet.length}:${packet}`;
}

module.exports = { connectSocket, dialSocket, Polling, framed };
