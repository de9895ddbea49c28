// Plain sockjs-node with rooms and the protocol of turted 0.1: {"type":T,"data":D} in both directions.
// Usage: node sockjs.js PORT
'use strict';

const http = require('node:http');
const sockjs = require('sockjs');
const { answer } = require('./push');
const { Rooms } = require('./rooms');

const rooms = new Rooms();
const service = sockjs.createServer({ log() {} });

service.on('connection', (connection) => {
  rooms.add(connection);
  connection.on('data', (text) => {
    const { type, data } = JSON.parse(text);
    if (type === 'ident') rooms.join(connection, `user:${data?.username}`);
    if (type === 'join') rooms.join(connection, `channel:${data?.channel}`);
    if (type === 'echo') connection.write(JSON.stringify({ type: 'message', data }));
  });
  connection.on('close', () => rooms.remove(connection));
});

function dispatch(targets, { event, payload }) {
  const message = JSON.stringify({ type: event, data: payload });
  for (const connection of rooms.receivers(targets)) connection.write(message);
}

// The service of sockjs-node looks at every request; this file handles pushes.
const server = http.createServer((request, response) => {
  if (request.url.startsWith('/push')) answer(request, response, dispatch);
});
service.installHandlers(server, { prefix: '/turted' });
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
