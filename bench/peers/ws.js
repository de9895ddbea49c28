// Bare `ws` with rooms, as far as a server goes that writes its own protocol: the frame is
// encoded once and the same bytes go to every socket. It speaks just enough Socket.IO for the
// generator's clients.
// Usage: node ws.js PORT
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { Sender, WebSocketServer } = require('ws');
const { answer } = require('./push');

const HANDSHAKE = { upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 };
const rooms = new Map();
const server = http.createServer((request, response) => answer(request, response, dispatch));
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

function join(socket, room) {
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(socket);
  socket.rooms.add(room);
}

function command(socket, [name, data]) {
  if (name === 'IDENT') join(socket, `user:${data?.username}`);
  if (name === 'JOIN') join(socket, `channel:${data?.channel}`);
  socket.send(`42${JSON.stringify(['OK', data])}`);
}

function leave(socket) {
  for (const room of socket.rooms) {
    rooms.get(room).delete(socket);
    if (rooms.get(room).size === 0) rooms.delete(room);
  }
}

sockets.on('connection', (socket) => {
  const sid = crypto.randomBytes(15).toString('base64url');
  socket.rooms = new Set();
  socket.on('message', (data) => {
    const packet = data.toString();
    if (packet === '40') socket.send(`40${JSON.stringify({ sid })}`);
    else if (packet.startsWith('42')) command(socket, JSON.parse(packet.slice(2)));
  });
  socket.on('close', () => leave(socket));
  socket.send(`0${JSON.stringify({ sid, ...HANDSHAKE })}`);
});

setInterval(() => sockets.clients.forEach((socket) => socket.send('2')), HANDSHAKE.pingInterval);

function receivers(targets) {
  if (targets.broadcast) return sockets.clients;
  const names = (targets.users ?? []).map((name) => `user:${name}`);
  names.push(...(targets.channels ?? []).map((name) => `channel:${name}`));
  const found = names.map((name) => rooms.get(name)).filter(Boolean);
  return found.length === 1 ? found[0] : new Set(found.flatMap((room) => [...room]));
}

function dispatch(targets, packet) {
  const data = Buffer.from(`42${JSON.stringify(['EVENT', packet])}`);
  const frame = Buffer.concat(
    Sender.frame(data, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false }),
  );
  for (const socket of receivers(targets)) socket._socket.write(frame);
}

server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
