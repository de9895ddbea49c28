'use strict';
// The lines of docs/moving.md that come after, cut out of it and run: a page of each kind shows what is pushed.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { EventSource } = require('eventsource');
const { io } = require('socket.io-client-4');
const { WebSocket } = require('ws');
const { TURTED } = require('../../clients/js/dist/turted.cjs');
const { afterwards } = require('./afterwards');
const { start } = require('./server');
const { until, untilDoing } = require('./waiting');

const LIMITS = { timeout: 60_000 };
const PAGE = fs.readFileSync(path.resolve(__dirname, '../../docs/moving.md'), 'utf8');
const PASSWORD = 's3cret-of-the-backend';
const KEY = 'a shared secret of 32 bytes or more';
const CONFIG = {
  push: { method: 'password', password: PASSWORD },
  auth: { method: 'jwt', algorithm: 'HS256', key: KEY },
};
const TOPIC = 'https://shop.example/orders/7';

/** The blocks of code in a language that reach turted, with the address of this server. */
function blocks(language, server) {
  const all = [...PAGE.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, of]) => of === language);
  const after = all.map(([, , code]) => code).filter((code) => code.includes('127.0.0.1:7117'));
  return after.map((code) => code.replaceAll('http://127.0.0.1:7117', server.url));
}

function token() {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: 'adam', exp: Date.now() / 1000 + 600 })}`;
  return `${text}.${crypto.createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

/** Runs lines of a page. Returns what it shows. */
function open(t, code) {
  const shown = [];
  const page = {
    io,
    EventSource,
    // Node 20 has no WebSocket of its own.
    TURTED: function (url, options) {
      return new TURTED(url, { ...options, WebSocket });
    },
    show: (data) => shown.push(data),
    token: token(),
    getToken: async () => token(),
    topic: TOPIC,
    reload: () => assert.fail('nothing was missed'),
    location: { reload: () => assert.fail('nothing was missed') },
  };
  const [name] = /(?<=^const )\w+/m.exec(code);
  const client = new Function(...Object.keys(page), `${code}\nreturn ${name};`)(...Object.values(page));
  afterwards(t, () => client.close());
  return shown;
}

/** The function `push` of the page. */
function backend(code) {
  return new Function('process', `${code}\nreturn push;`)({ env: { TURTED_PUSH_PASSWORD: PASSWORD } });
}

describe('docs/moving.md', LIMITS, () => {
  test('pages of each kind show what the backend pushes', async (t) => {
    const server = await start(t, CONFIG);
    const [pushing, ...pages] = blocks('js', server);
    assert.equal(pages.length, 4);
    const push = backend(pushing);
    for (const code of pages) {
      const shown = open(t, code);
      const [event, channel] = code.includes('ORDER') ? ['ORDER', TOPIC] : ['MESSAGE:NEW', 'chat'];
      // A page says nothing when it has joined.
      const pushed = () => push(event, { channels: [channel] }, { text: 'hello' }).catch(() => {});
      await untilDoing(() => shown.length > 0, pushed, code);
      assert.deepEqual(shown[0], { text: 'hello' }, code);
    }
  });

  test('a push reaches a user without a subscription, and is refused without the password', async (t) => {
    const server = await start(t, CONFIG);
    const [pushing, page] = blocks('js', server);
    const shown = open(t, page);
    const push = backend(pushing);
    const pushed = () => push('MESSAGE:NEW', { users: ['adam'] }, 7).catch(() => {});
    await untilDoing(() => shown.length > 0, pushed);
    assert.equal(shown[0], 7);
    const answer = await new Function('process', `${pushing}\nreturn push;`)({ env: {} })('E', { broadcast: true }, 1);
    assert.equal(answer.status, 401);
  });

  test('the push of the shell reaches a page that moved from Mercure', async (t) => {
    const server = await start(t, CONFIG);
    const page = blocks('js', server).find((code) => code.includes('EventSource'));
    const shown = open(t, page);
    const [shell] = blocks('sh', server);
    const command = shell.slice(shell.indexOf(`curl ${server.url}`));
    const env = { PATH: process.env.PATH, TURTED_PUSH_PASSWORD: PASSWORD };
    let pushing = false;
    const once = () => {
      if (pushing) return;
      pushing = true;
      execFile('sh', ['-c', command], { env }, () => (pushing = false));
    };
    await untilDoing(() => shown.length > 0, once);
    assert.deepEqual(shown[0], { state: 'paid' });
    await until(() => !pushing);
  });
});
