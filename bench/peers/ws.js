// Bare `ws` with rooms, written as a server with a protocol of its own would be: each frame is encoded once
// and the same bytes go to every socket. It speaks as much of two protocols as the generator's clients need:
// Socket.IO, and turted.v1 under /ws.
// Usage: node ws.js PORT
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { Sender, WebSocketServer } = require('ws');
const { answer } = require('./push');
const { Rooms } = require('./rooms');

const PING_INTERVAL_MS = 25000;
const HANDSHAKE = { upgrades: [], pingInterval: PING_INTERVAL_MS, pingTimeout: 20000, maxPayload: 1000000 };
const rooms = { socketio: new Rooms(), v1: new Rooms() };
const server = http.createServer((request, response) => answer(request, response, dispatch));
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

const protocols = {
  socketio: {
    greet(socket, sid) {
      socket.send(`0${JSON.stringify({ sid, ...HANDSHAKE })}`);
    },
    receive(socket, packet) {
      if (packet === '40') socket.send(`40${JSON.stringify({ sid: 'peer' })}`);
      if (!packet.startsWith('42')) return;
      const [name, data] = JSON.parse(packet.slice(2));
      if (name === 'IDENT') rooms.socketio.join(socket, `user:${data?.username}`);
      if (name === 'JOIN') rooms.socketio.join(socket, `channel:${data?.channel}`);
      socket.send(`42${JSON.stringify(['OK', data])}`);
    },
    encode: (packet) => `42${JSON.stringify(['EVENT', packet])}`,
    ping: (socket) => socket.send('2'),
  },
  v1: {
    greet(socket, session) {
      socket.send(JSON.stringify({ welcome: { protocol: 'turted.v1', session, ping_interval_ms: PING_INTERVAL_MS } }));
    },
    receive(socket, message) {
      const { id, do: command, data, channel } = JSON.parse(message);
      if (command === 'ident') rooms.v1.join(socket, `user:${data?.username}`);
      if (command === 'join') rooms.v1.join(socket, `channel:${channel}`);
      socket.send(JSON.stringify({ reply: id, ok: true, channel }));
    },
    encode: (packet) => JSON.stringify(packet),
    ping: (socket) => socket.ping(),
  },
};

sockets.on('connection', (socket, request) => {
  const name = request.url.startsWith('/ws') ? 'v1' : 'socketio';
  rooms[name].add(socket);
  socket.on('message', (data) => protocols[name].receive(socket, data.toString()));
  socket.on('close', () => rooms[name].remove(socket));
  protocols[name].greet(socket, crypto.randomBytes(15).toString('base64url'));
});

setInterval(() => {
  for (const name of Object.keys(rooms)) {
    for (const socket of rooms[name].clients()) protocols[name].ping(socket);
  }
}, PING_INTERVAL_MS);

function dispatch(targets, packet) {
  for (const name of Object.keys(rooms)) {
    const data = Buffer.from(protocols[name].encode(packet));
    const options = { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false };
    const frame = Buffer.concat(Sender.frame(data, options));
    for (const socket of rooms[name].receivers(targets)) socket._socket.write(frame);
  }
}

server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
