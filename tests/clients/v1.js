'use strict';
// A client of turted.v1, written from docs/protocol-v1.md. It comes back and resumes; where that is refused
// it identifies itself and joins its channels again. It also runs in pages. `connect()` returns a new
// WebSocket, or an object with the same interface.

// The delays that protect a real server would only slow tests down.
const COME_BACK_MS = 20;

class V1 {
  /** `hello`: the message to send first, if there is one. */
  constructor(connect, hello) {
    this.connect = connect;
    this.hello = hello;
    this.events = [];
    this.user = null;
    this.channels = new Set();
    this.onloss = () => {};
    this.resumed = 0;
    this.number = 0;
    this.unsent = [];
    this.open();
  }

  open() {
    const socket = this.connect();
    this.socket = socket;
    this.isReady = false;
    this.waiting = new Map();
    socket.onopen = () => this.hello && socket.send(JSON.stringify(this.hello));
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onerror = () => {};
    socket.onclose = ({ code }) => {
      this.isReady = false;
      this.onloss();
      // The server refuses this client for good: a new connection would end in the same way.
      if (code >= 4000 && code < 4100) this.isClosed = true;
      if (!this.isClosed) setTimeout(() => this.isClosed || this.open(), COME_BACK_MS);
    };
  }

  close() {
    this.isClosed = true;
    this.socket.close();
  }

  receive(message) {
    if (message.welcome) this.welcomed(message.welcome);
    else if ('reply' in message) this.replied(message);
    // Events that come between the welcome and the reply to `resume` are replayed later.
    else if (message.event !== undefined && !this.isResuming) this.happened(message);
    // In SockJS: a message that the server sent before it agreed to turted.v1.
    else if (message.type !== undefined && !this.session) {
      this.happened({ event: message.type, payload: message.data, via: message.via });
    }
  }

  happened({ event, payload, via, cursor }) {
    if (cursor !== undefined) this.cursor = cursor;
    this.events.push({ event, payload, via });
  }

  welcomed({ session, cursor, connection }) {
    this.connection = connection;
    const anew = () => {
      this.session = session;
      this.cursor = cursor;
      this.introduce();
    };
    if (!this.session) return anew();
    this.isResuming = true;
    this.send({ do: 'resume', session: this.session, cursor: this.cursor }, (reply) => {
      this.isResuming = false;
      if (!reply.ok) return anew();
      this.session = reply.session;
      this.connection = reply.connection;
      this.resumed++;
      this.begin();
    });
  }

  /** Identifies itself and joins its channels, all of them at once. Then the client is ready. */
  introduce() {
    const requests = this.channels.size > 0 ? [{ do: 'join', channels: [...this.channels] }] : [];
    if (this.user) requests.unshift({ do: 'ident', data: this.user });
    let left = requests.length;
    if (left === 0) return this.begin();
    for (const request of requests) this.send(request, () => --left > 0 || this.begin());
  }

  begin() {
    this.isReady = true;
    for (const [request, done] of this.unsent.splice(0)) this.send(request, done);
  }

  send(request, done) {
    const id = ++this.number;
    this.waiting.set(id, done);
    this.socket.send(JSON.stringify({ id, ...request }));
  }

  replied(message) {
    const done = this.waiting.get(message.reply);
    this.waiting.delete(message.reply);
    if (done) done(message);
  }

  /** Sends a request as soon as the connection is ready. Resolves with the reply, which may be a refusal. */
  request(request) {
    return new Promise((resolve) => {
      if (this.isReady) this.send(request, resolve);
      else this.unsent.push([request, resolve]);
    });
  }

  ident(data) {
    return this.request({ do: 'ident', data }).then((reply) => {
      if (reply.ok) this.user = data;
      return reply;
    });
  }

  join(channel) {
    return this.request({ do: 'join', channel }).then((reply) => {
      if (reply.ok) this.channels.add(channel);
      return reply;
    });
  }

  /** Asks for a sign of life, and takes the position that comes with it for its own. */
  ping() {
    return this.request({ do: 'ping' }).then((reply) => {
      if (reply.cursor !== undefined) this.cursor = reply.cursor;
      return reply;
    });
  }

  leave(channel) {
    this.channels.delete(channel);
    return this.request({ do: 'leave', channel });
  }
}

if (typeof module !== 'undefined') module.exports = { V1 };
