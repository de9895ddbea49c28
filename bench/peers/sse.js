// Event streams with node's own HTTP server, as most people would write it.
// Usage: node sse.js PORT
'use strict';

const http = require('node:http');
const { answer } = require('./push');
const { Rooms } = require('./rooms');

const HEARTBEAT_INTERVAL_MS = 25000;
const rooms = new Rooms();

function subscribe(url, response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  rooms.add(response);
  for (const channel of url.searchParams.getAll('channel')) rooms.join(response, `channel:${channel}`);
  response.on('close', () => rooms.remove(response));
  response.write('retry: 3000\n\n');
}

let sequence = 0;
function dispatch(targets, { event, payload }) {
  sequence += 1;
  const block = `id: ${sequence}\nevent: ${event}\ndata: ${JSON.stringify(payload)}\n\n`;
  for (const response of rooms.receivers(targets)) response.write(block);
}

setInterval(() => {
  for (const response of rooms.clients()) response.write(':\n\n');
}, HEARTBEAT_INTERVAL_MS);

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/sse') subscribe(url, response);
  else answer(request, response, dispatch);
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
