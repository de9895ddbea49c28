'use strict';
// Every client through every proxy of packaging/, and what the proxy must not change: the address of the
// client, who may push, and how long a connection may be silent.

// The certificates are made for the test.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const assert = require('node:assert/strict');
const https = require('node:https');
const fs = require('node:fs');
const tls = require('node:tls');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { start } = require('../clients/server');
const { openEventSource } = require('../clients/eventsource');
const { CLIENTS } = require('../clients/everywhere');
const { request } = require('../clients/http');
const { CELLS, open } = require('../clients/tab');
const { until } = require('../clients/waiting');
const { caddy, certify, directoryFor, haproxy, has, nginx } = require('./proxy');

// engine.io-client verifies certificates unless it is told otherwise.
const SELF_SIGNED = { rejectUnauthorized: false };
// The eventsource that sockjs-client uses in node always verifies certificates.
const THROUGH_TLS = CLIENTS.filter(({ title }) => !title.endsWith('in SockJS over eventsource'));
const LIMITS = { timeout: 60_000 };
const GUESSES = 2;
// More than two heartbeats, so that a time limit below their interval shows. A minute for each proxy is too
// long for every run of the tests.
const SILENCE_MS = 58_000;
const SLOW = process.env.TURTED_TEST_SLOW !== '1' && 'takes minutes: TURTED_TEST_SLOW=1';

const BEHIND = { TURTED_TRUSTED_PROXIES: '127.0.0.1', TURTED_ADMIN_LISTEN: '127.0.0.1:0' };
const CONFIG = { push: { password: 'secret' }, limits: { wrong_passwords: GUESSES } };

/** A server that speaks no TLS. */
function startPlain(t, { config = CONFIG, env = {} } = {}) {
  return start(t, config, { ...BEHIND, ...env });
}

/** A server that speaks TLS. */
async function startTls(t, { config = CONFIG, env = {} } = {}, more = {}) {
  const directory = directoryFor(t);
  const { cert, key } = certify(directory);
  const server = await start(t, config, { ...BEHIND, TURTED_TLS_CERT: cert, TURTED_TLS_KEY: key, ...more, ...env });
  return { server, directory };
}

/** Each way to a server: `{ name, open(t, { config, env }) }` gives the server and the port of the proxy. */
const WAYS = [
  {
    name: 'nginx',
    deniesPush: true,
    async open(t, setting) {
      const server = await startPlain(t, setting);
      return { server, port: await nginx(t, server) };
    },
  },
  {
    name: 'nginx, TLS to turted',
    deniesPush: true,
    async open(t, setting) {
      const { server, directory } = await startTls(t, setting);
      // nginx has a certificate of its own, so turted's is looked at without nginx.
      return { server, directory, port: await nginx(t, server, 'https'), shows: server.port };
    },
  },
  {
    name: 'haproxy',
    deniesPush: true,
    async open(t, setting) {
      const server = await startPlain(t, setting);
      return { server, port: (await haproxy(t, server.port, 1)).front };
    },
  },
  {
    name: 'haproxy, TLS by turted',
    deniesPush: false,
    async open(t, setting) {
      const { server, directory } = await startTls(t, setting, { TURTED_PROXY_PROTOCOL: 'true' });
      const { through } = await haproxy(t, 1, server.port);
      return { server, directory, port: through, shows: through };
    },
  },
  {
    name: 'caddy',
    deniesPush: true,
    skip: !has('caddy') && 'caddy is not installed',
    async open(t, setting) {
      const server = await startPlain(t, setting);
      return { server, port: await caddy(t, server) };
    },
  },
];

/** The status of a request through the proxy. */
function ask(port, path, { body, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const request = https.request({ host: '127.0.0.1', port, path, agent: false, ...options });
    request.once('error', reject);
    request.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode)));
    request.end(body);
  });
}

/** A push through the proxy, made from `localAddress`. */
function push(port, { password = 'secret', localAddress = '127.0.0.2', headers = {}, event = 'NEWS', targets = {}, payload = {} } = {}) {
  const body = JSON.stringify({ event, targets, payload, auth: { password } });
  return ask(port, '/push/', { method: 'POST', localAddress, headers, body });
}

/** How many connections have joined `channel`, as the server counts them: asking sends nothing to them. */
async function joined(server, channel) {
  const [, port] = /admin on http:\/\/127\.0\.0\.1:(\d+)/.exec(server.output);
  const { body } = await request(`http://127.0.0.1:${port}/api/v1/channels/${channel}`);
  return JSON.parse(body).connections;
}

for (const way of WAYS) {
  describe(way.name, { skip: way.skip, concurrency: false }, () => {
    for (const client of THROUGH_TLS) {
      test(`${client.title}: commands and events pass`, LIMITS, async (t) => {
        const { port } = await way.open(t);
        const tab = client.open(t, `https://127.0.0.1:${port}`, SELF_SIGNED);
        await tab.ident('adam');
        await tab.join('chat');
        await tab.settled();
        if (client.speaks) await tab.echo('é€😀');
        // The first is small enough to stay in any buffer that waits for more, the second is larger than any
        // buffer on the way.
        for (const payload of ['é€😀', 'x'.repeat(600_000)]) {
          assert.equal(await push(port, { event: `NEWS${payload.length}`, targets: { channels: ['chat'] }, payload }), 200);
          assert.equal((await tab.event(`NEWS${payload.length}`)).payload, payload);
        }
        if (client.speaks) await tab.echo();
        assert.equal(tab.losses, 0);
      });
    }

    test('the server counts wrong passwords per client, not per proxy', LIMITS, async (t) => {
      const { port } = await way.open(t);
      const guess = (localAddress, forwarded) =>
        push(port, { password: 'wrong', localAddress, headers: { 'X-Forwarded-For': forwarded } });
      for (let number = 1; number <= GUESSES; number += 1) {
        assert.equal(await guess('127.0.0.2', `192.0.2.${number}`), 401);
      }
      assert.equal(await guess('127.0.0.2', '192.0.2.99'), 429, 'an invented address does not help');
      assert.equal(await guess('127.0.0.3', '192.0.2.1'), 401, 'another client may still try');
      assert.equal(await push(port, { localAddress: '127.0.0.3' }), 200);
    });

    test('only the own network may push', { ...LIMITS, skip: !way.deniesPush && 'it sees no paths' }, async (t) => {
      const { port } = await way.open(t);
      assert.equal(await push(port, { localAddress: '127.0.0.2' }), 200);
      assert.equal(await push(port, { localAddress: '127.0.0.9' }), 403);
    });

    test('without a password pushes pass under any name of the proxy, and those of pages do not', { ...LIMITS, skip: !way.deniesPush && 'it sees no paths' }, async (t) => {
      const { port } = await way.open(t, { config: { push: { method: 'none' } } });
      const Host = `turted.example.com:${port}`;
      assert.equal(await push(port, { headers: { Host } }), 200);
      for (const Origin of ['https://evil.example', `https://${Host}`, 'null']) {
        assert.equal(await push(port, { headers: { Host, Origin } }), 403, Origin);
      }
      assert.equal(await push(port, { headers: { Host, 'Sec-Fetch-Site': 'cross-site' } }), 403);
    });

    test('a page under the name of the proxy is one of the own host', LIMITS, async (t) => {
      const { port } = await way.open(t, { env: { TURTED_ALLOW_ORIGINS: 'https://a.example' } });
      const Host = `turted.example.com:${port}`;
      const info = (Origin) => ask(port, '/turted/info', { headers: { Host, Origin } });
      assert.equal(await info(`https://${Host}`), 200);
      assert.equal(await info('https://a.example'), 200);
      for (const Origin of ['https://turted.example.com', `https://turted.example.com:${port + 1}`]) {
        assert.equal(await info(Origin), 403, Origin);
      }
    });

    test('the server knows at once that a listener left', LIMITS, async (t) => {
      const { server, port } = await way.open(t);
      const tab = openEventSource(t, `https://127.0.0.1:${port}`);
      await tab.join('chat');
      assert.equal(await joined(server, 'chat'), 1);
      tab.close();
      let left = 1;
      await until(() => {
        joined(server, 'chat').then((connections) => (left = connections));
        return left === 0;
      });
    });

    test('a connection that is silent between heartbeats stays open', { timeout: SILENCE_MS + 60_000, skip: SLOW }, async (t) => {
      const { port } = await way.open(t);
      const tabs = THROUGH_TLS.map((client) => client.open(t, `https://127.0.0.1:${port}`, SELF_SIGNED));
      await Promise.all(tabs.map((tab) => tab.join('chat')));
      await Promise.all(tabs.map((tab) => tab.settled()));
      // The connection has to be silent for a given time, so there is no condition to wait for.
      await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
      assert.equal(await push(port, { targets: { channels: ['chat'] } }), 200);
      for (const tab of tabs) await tab.event('NEWS');
      assert.deepEqual(THROUGH_TLS.filter((_, index) => tabs[index].losses > 0).map(({ title }) => title), []);
    });
  });
}

test('nginx passes events on at once, although it buffers other answers', LIMITS, async (t) => {
  const server = await start(t, CONFIG, BEHIND);
  const port = await nginx(t, server, 'http', [['proxy_buffering off', 'proxy_buffering on']]);
  const streams = THROUGH_TLS.filter(({ title }) => /EventSource|xhr-streaming/.test(title));
  assert.equal(streams.length, 3);
  for (const client of streams) {
    const tab = client.open(t, `https://127.0.0.1:${port}`);
    await tab.join('chat');
    assert.equal(await push(port, { event: client.title, targets: { channels: ['chat'] } }), 200);
    await tab.event(client.title);
    tab.close();
  }
});

/** The fingerprint of the certificate that a new handshake shows. */
async function shown(port) {
  const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost' });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

for (const way of WAYS.filter(({ name }) => name.includes('TLS'))) {
  test(`${way.name}: SIGHUP changes the certificate while clients stay connected`, LIMITS, async (t) => {
    const { server, directory, port, shows } = await way.open(t);
    const connect = (cell) => open(t, cell, `https://127.0.0.1:${port}`, { ...SELF_SIGNED, reconnection: false });
    const tabs = CELLS.map(connect);
    for (const tab of tabs) await tab.join('chat');
    const first = await shown(shows);
    const { key } = certify(directory);
    assert.equal(await shown(shows), first, 'nothing changes by itself');
    server.child.kill('SIGHUP');
    let last = first;
    await until(() => {
      shown(shows).then((fingerprint) => (last = fingerprint));
      return last !== first;
    });
    for (const tab of tabs) await tab.echo('after the change');
    for (const cell of CELLS) await connect(cell).echo('come after the change');

    fs.writeFileSync(key, 'no key');
    server.child.kill('SIGHUP');
    await until(() => /ERROR.*not reloaded/.test(server.output), () => server.output);
    assert.equal(await shown(shows), last);
    assert.equal(await push(port, { targets: { channels: ['chat'] } }), 200);
    for (const tab of tabs) await tab.event('NEWS');
    assert.match(server.output, /listening on https:/);
  });
}
