'use strict';
// The bytes of a client that is as light as can be, so that a process has thousands: a WebSocket, and a response without
// an end, by hand. It trusts the server to keep the rules of both.

const net = require('node:net');

const HEAD_END = '\r\n\r\n';
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const MASKED = 0x80;
const SWITCHING = /^HTTP\/1\.1 101 /;
const OK = /^HTTP\/1\.[01] 200 /;

/** A frame of a client. Its mask is zero, which is a mask as good as any for a server that one knows. */
function frame(opcode, text) {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
  head[0] = 0x80 | opcode;
  if (payload.length < 126) head[1] = MASKED | payload.length;
  else {
    head[1] = MASKED | 126;
    head.writeUInt16BE(payload.length, 2);
  }
  return Buffer.concat([head, payload]);
}

/** A connection on which a request is sent; `onend` is called once, however it ends. */
class Wire {
  constructor(port, request, { onopen, onend }) {
    this.head = '';
    this.isOpen = false;
    this.onopen = onopen;
    this.onend = onend;
    this.seenAt = Date.now();
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('connect', () => this.socket.write(request));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.end());
    this.socket.on('end', () => this.socket.destroy());
    this.socket.on('data', (chunk) => this.data(chunk));
  }

  data(chunk) {
    this.seenAt = Date.now();
    if (this.isOpen) return this.body(chunk);
    this.head += chunk.toString('latin1');
    const end = this.head.indexOf(HEAD_END);
    if (end < 0) return undefined;
    if (!this.accepted.test(this.head)) return this.destroy();
    const rest = Buffer.from(this.head.slice(end + HEAD_END.length), 'latin1');
    this.head = '';
    this.isOpen = true;
    this.onopen();
    return rest.length > 0 ? this.body(rest) : undefined;
  }

  end() {
    const { onend } = this;
    this.onend = () => {};
    onend();
  }

  destroy() {
    this.socket.destroy();
    this.end();
  }

  /** The client takes the connection for dead, and the server does not hear of it for so long. */
  abandon(ms) {
    this.socket.removeAllListeners('data');
    this.socket.resume();
    setTimeout(() => this.socket.destroy(), ms).unref();
    this.end();
  }
}

class LightSocket extends Wire {
  constructor(port, path, on) {
    const headers = ['Host: 127.0.0.1', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];
    super(port, `GET ${path} HTTP/1.1\r\n${headers.join('\r\n')}${HEAD_END}`, on);
    this.accepted = SWITCHING;
    this.onmessage = on.onmessage;
    this.pending = Buffer.alloc(0);
  }

  body(chunk) {
    this.pending = this.pending.length > 0 ? Buffer.concat([this.pending, chunk]) : chunk;
    for (;;) {
      const read = readFrame(this.pending);
      if (!read) return;
      this.pending = this.pending.subarray(read.size);
      if (read.opcode === TEXT) this.onmessage(read.payload.toString());
      else if (read.opcode === PING) this.socket.write(frame(PONG, read.payload));
      else if (read.opcode === CLOSE) this.destroy();
    }
  }

  send(text) {
    this.socket.write(frame(TEXT, text));
  }
}

/** The first frame, if all of it is there. */
function readFrame(bytes) {
  if (bytes.length < 2) return undefined;
  let size = bytes[1] & 0x7f;
  let start = 2;
  if (size === 126) {
    if (bytes.length < 4) return undefined;
    [size, start] = [bytes.readUInt16BE(2), 4];
  } else if (size === 127) {
    if (bytes.length < 10) return undefined;
    [size, start] = [Number(bytes.readBigUInt64BE(2)), 10];
  }
  if (bytes.length < start + size) return undefined;
  return { opcode: bytes[0] & 0x0f, payload: bytes.subarray(start, start + size), size: start + size };
}

/** An event stream. The request is HTTP/1.0, so the response has no chunks. */
class LightStream extends Wire {
  constructor(port, path, headers, on) {
    super(port, `GET ${path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n${headers}\r\n`, on);
    this.accepted = OK;
    this.onevent = on.onevent;
    this.text = '';
  }

  body(chunk) {
    this.text += chunk.toString();
    for (let end = this.text.indexOf('\n\n'); end >= 0; end = this.text.indexOf('\n\n')) {
      this.onevent(fieldsOf(this.text.slice(0, end)));
      this.text = this.text.slice(end + 2);
    }
  }
}

function fieldsOf(text) {
  return Object.fromEntries(text.split('\n').map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  }));
}

module.exports = { LightSocket, LightStream };
