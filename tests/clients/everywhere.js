'use strict';
// Every client over every transport: the rows of the scenario. Each has `open(t, url)`, which returns a tab
// with ident, join, leave, refused, echo, events, losses, settled, gone and close. The other members say what
// the client can do: `speaks`: it sends commands; `keeps`: what it still has after a drop (everything, its
// user, nothing); `restores`: the same after a restart of the server, if that is less; `config`: what the
// server needs.

const { CELLS, open } = require('./tab');
const { openEventSource } = require('./eventsource');
const { SOCKJS_TRANSPORTS, openSockJs, openSockJsV1 } = require('./sockjs');
const { openWebSocket } = require('./websocket');

// With 1.x and 2.x turted-client identifies itself again. With 4.x the server recovers the session, or
// turted-client identifies itself again. With 3.x neither happens.
const SOCKETIO_KEEPS = {
  1: { keeps: 'user' },
  2: { keeps: 'user' },
  3: { keeps: 'nothing' },
  4: { keeps: 'everything', restores: 'user' },
};

const SOCKETIO = CELLS.map((cell) => ({
  title: cell.title,
  open: (t, url, options) => open(t, cell, url, options),
  speaks: true,
  ...SOCKETIO_KEEPS[cell.major],
}));

const SOCKJS = SOCKJS_TRANSPORTS.flatMap((transport) => [
  {
    title: `turted 0.1 in SockJS over ${transport}`,
    open: (t, url) => openSockJs(t, url, transport),
    speaks: true,
    keeps: 'user',
  },
  {
    title: `turted.v1 in SockJS over ${transport}`,
    open: (t, url) => openSockJsV1(t, url, transport),
    speaks: true,
    keeps: 'everything',
  },
]);

const CLIENTS = [
  ...SOCKETIO,
  { title: 'turted.v1 over WebSocket', open: openWebSocket, speaks: true, keeps: 'everything' },
  // Browsers wait three seconds unless the server tells them to wait less.
  { title: 'EventSource', open: openEventSource, keeps: 'everything', config: { sse: { retry: '20ms' } } },
  ...SOCKJS,
];

module.exports = { CLIENTS };
