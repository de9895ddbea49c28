'use strict';
// The samples of packaging/ before two servers: without stickiness each of them gets requests of one client, with it
// only one does. If a server is gone the other one gets all.

// The certificates are made for the test.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const assert = require('node:assert/strict');
const https = require('node:https');
const { describe, test } = require('node:test');
const { start } = require('../clients/server');
const { caddy, haproxy, has, nginx } = require('./proxy');

const LIMITS = { timeout: 120_000 };
/** Enough for each of two servers to get one. */
const REQUESTS = 20;
const BEHIND = { TURTED_TRUSTED_PROXIES: '127.0.0.1', TURTED_ADMIN_LISTEN: '' };
/** By what the servers can be told apart from outside. */
const INTERVALS = ['21', '22'];

const WAYS = [
  {
    name: 'nginx',
    sticky: [['#hash $remote_addr', 'hash $remote_addr']],
    open: (t, first, second, sticky) =>
      nginx(t, first, 'http', [
        ['#server 10.0.0.6:7117;', `server 127.0.0.1:${second.port};`],
        ['#proxy_next_upstream error;', 'proxy_next_upstream error;'],
        ['    proxy_next_upstream off;\n', ''],
        ...sticky,
      ]),
  },
  {
    name: 'haproxy',
    sticky: [
      ['#balance source', 'balance source'],
      ['#hash-type', 'hash-type'],
    ],
    open: async (t, first, second, sticky) =>
      (
        await haproxy(t, first.port, 1, [
          ['#server turted2 10.0.0.6:7117', `server turted2 127.0.0.1:${second.port}`],
          ['#option httpchk', 'option httpchk'],
          ['#option redispatch', 'option redispatch'],
          ...sticky,
        ])
      ).front,
  },
  {
    name: 'caddy',
    skip: !has('caddy') && 'caddy is not installed',
    sticky: [['#lb_policy ip_hash', 'lb_policy ip_hash']],
    open: (t, first, second, sticky) =>
      caddy(t, first, [
        ['#to 10.0.0.6:7117', `to 127.0.0.1:${second.port}`],
        ['#health_uri', 'health_uri'],
        ['#health_interval 5s', 'health_interval 500ms'],
        ['#lb_try_duration', 'lb_try_duration'],
        ...sticky,
      ]),
  },
];

/** The heartbeat that the server behind a proxy tells a client that connects; undefined if there is no answer. */
function interval(port) {
  return new Promise((resolve, reject) => {
    const request = https.get({ host: '127.0.0.1', port, path: '/socket.io/?EIO=4&transport=polling', agent: false });
    request.once('error', reject);
    request.once('response', (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text) => (body += text));
      answer.once('end', () => resolve(/"pingInterval":(\d+)000/.exec(body)?.[1]));
    });
  });
}

/** Which servers answer, one request after the other. */
async function answering(port) {
  const seen = new Set();
  for (let count = 0; count < REQUESTS; count++) seen.add(await interval(port));
  return [...seen].sort();
}

for (const way of WAYS) {
  describe(`${way.name} before two servers`, { skip: way.skip, concurrency: false }, () => {
    for (const isSticky of [false, true]) {
      test(isSticky ? 'a client stays at one server' : 'a client gets to both servers', LIMITS, async (t) => {
        const servers = [];
        for (const seconds of INTERVALS) {
          servers.push(await start(t, {}, { ...BEHIND, TURTED_SOCKETIO_PING_INTERVAL: `${seconds}s` }));
        }
        const port = await way.open(t, ...servers, isSticky ? way.sticky : []);
        const seen = await answering(port);
        assert.deepEqual(seen, isSticky ? seen.slice(0, 1) : INTERVALS);
        assert.ok(INTERVALS.includes(seen[0]), `${seen}`);
        // The server of the sticky client goes away.
        const gone = INTERVALS.indexOf(seen[0]);
        await servers[gone].stop();
        let left;
        const end = Date.now() + 30_000;
        do {
          left = await answering(port);
        } while (`${left}` !== INTERVALS[1 - gone] && Date.now() < end);
        assert.deepEqual(left, [INTERVALS[1 - gone]]);
      });
    }
  });
}
