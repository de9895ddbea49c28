// Plain Socket.IO 4 with rooms, as most people would write it.
// Usage: node socketio.js PORT [recovery]
// With `recovery` clients come back to what they missed, for two minutes, as socket.io does where it is switched on.
'use strict';

const http = require('node:http');
const { Server } = require('socket.io');
const { answer } = require('./push');

const server = http.createServer((request, response) => answer(request, response, dispatch));
const recovery = process.argv[3] === 'recovery' ? { connectionStateRecovery: {} } : {};
const io = new Server(server, { perMessageDeflate: false, serveClient: false, ...recovery });

io.on('connection', (socket) => {
  socket.on('IDENT', (data) => {
    socket.join(`user:${data?.username}`);
    socket.emit('OK', { username: data?.username });
  });
  socket.on('JOIN', (data) => {
    socket.join(`channel:${data?.channel}`);
    socket.emit('OK', { channel: data?.channel });
  });
});

function dispatch(targets, packet) {
  if (targets.broadcast) return io.emit('EVENT', packet);
  const users = (targets.users ?? []).map((name) => `user:${name}`);
  const channels = (targets.channels ?? []).map((name) => `channel:${name}`);
  const rooms = users.concat(channels);
  if (rooms.length > 0) io.to(rooms).emit('EVENT', packet);
}

// On some kernels the default backlog of 511 is less than what the generator opens at once.
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
