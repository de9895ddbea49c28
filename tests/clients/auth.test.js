'use strict';
// Which IDENTs are verified by each authenticator, and which are refused.

const assert = require('node:assert/strict');
const { createHash, createHmac } = require('node:crypto');
const http = require('node:http');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { start } = require('./server');
const { CELLS, open } = require('./tab');

const LIMITS = { timeout: 30_000 };
const BY_PASSWORD = { auth: { method: 'password', password: 'IamAllowed2CONNECT!' } };
const BY_TOKEN = { auth: { method: 'token', hash: 'sha256', prefix: 'before-', suffix: '-after' } };

const BY_JWT = { auth: { method: 'jwt', algorithm: 'HS256', key: 'a shared secret of 32 bytes or more' } };

function token(username, prefix = BY_TOKEN.auth.prefix) {
  return createHash('sha256').update(`${prefix}${username}${BY_TOKEN.auth.suffix}`).digest('hex');
}

/** A JSON Web Token of these claims, good for a minute. */
function jwt(claims, { alg = 'HS256', key = BY_JWT.auth.key } = {}) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 60;
  const message = `${encode({ alg, typ: 'JWT' })}.${encode({ exp, ...claims })}`;
  return `${message}.${alg === 'none' ? '' : createHmac('sha256', key).update(message).digest('base64url')}`;
}

/** A backend that accepts clients with the right word, and the configuration that asks this backend. */
async function byBackend(t) {
  const backend = http.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const { ident } = JSON.parse(body);
    if (ident.token === 'sesame') response.end(JSON.stringify({ user: ident.username }));
    else response.writeHead(403).end();
  });
  backend.listen(0, '127.0.0.1');
  await once(backend, 'listening');
  afterwards(t, () => (backend.close(), backend.closeAllConnections()));
  return { auth: { method: 'http', url: `http://127.0.0.1:${backend.address().port}/auth` } };
}

const AUTHENTICATORS = [
  {
    name: 'password',
    config: BY_PASSWORD,
    right: { password: BY_PASSWORD.auth.password },
    wrong: {
      'no password': {},
      'another password': { password: 'guess' },
      'a part of the password': { password: BY_PASSWORD.auth.password.slice(0, -1) },
      'a number': { password: 7 },
      'an object': { password: { password: BY_PASSWORD.auth.password } },
    },
  },
  {
    name: 'token',
    config: BY_TOKEN,
    right: { token: token('adam') },
    wrong: {
      'no token': {},
      'the token of another user': { token: token('eve') },
      'a token with another prefix': { token: token('adam', 'guess') },
      'a part of the token': { token: token('adam').slice(0, -1) },
      'a list': { token: [token('adam')] },
    },
  },
  {
    name: 'jwt',
    config: BY_JWT,
    right: { token: jwt({ sub: 'adam' }) },
    wrong: {
      'no token': {},
      'the token of another user': { token: jwt({ sub: 'eve' }) },
      'a token of another key': { token: jwt({ sub: 'adam' }, { key: 'guess' }) },
      'a token without a signature': { token: jwt({ sub: 'adam' }, { alg: 'none' }) },
      'a token that never expires': { token: jwt({ sub: 'adam', exp: undefined }) },
    },
  },
  {
    name: 'http',
    config: byBackend,
    right: { token: 'sesame' },
    wrong: {
      'no word': {},
      'another word': { token: 'thyme' },
      'a list': { token: ['sesame'] },
    },
  },
];

/** Checks that `tab` is identified as no user, though it is connected. */
async function isNobody(server, tab) {
  await server.emit('FOR ADAM', { users: ['adam'] });
  await server.emit('END', { broadcast: true });
  await tab.event('END');
  assert.deepEqual(tab.heard, ['END']);
}

function handshake(cell, data) {
  return cell.major <= 2 ? { query: data } : { auth: data };
}

for (const { name, config, right, wrong } of AUTHENTICATORS) {
  describe(`the ${name} authenticator`, { concurrency: true }, () => {
    for (const cell of CELLS) {
      test(`accepts the right proof from ${cell.title}`, LIMITS, async (t) => {
        const server = await start(t, typeof config === 'function' ? await config(t) : config);
        const tab = open(t, cell, server.url);
        await tab.ident('adam', right);
        await server.emit('FOR ADAM', { users: ['adam'] });
        await tab.event('FOR ADAM');
      });

      test(`refuses wrong proofs from ${cell.title} and lets it try again`, LIMITS, async (t) => {
        const server = await start(t, typeof config === 'function' ? await config(t) : config);
        const tab = open(t, cell, server.url);
        for (const [what, secrets] of Object.entries(wrong)) {
          tab.turted.ident({ username: 'adam', ...secrets });
          assert.equal(await tab.refusal(), 'IDENT not verified', what);
        }
        await tab.echo();
        await isNobody(server, tab);
        await tab.ident('adam', right);
      });

      test(`verifies the handshake of ${cell.title}`, LIMITS, async (t) => {
        const server = await start(t, typeof config === 'function' ? await config(t) : config);
        const welcome = open(t, cell, server.url, handshake(cell, { username: 'adam', ...right }));
        await welcome.answer('OK', { username: 'adam' });
        const stranger = open(t, cell, server.url, handshake(cell, { username: 'adam', token: 'x', password: 'x' }));
        assert.equal(await stranger.refusal(), 'IDENT not verified');
        await stranger.echo();
        await isNobody(server, stranger);
      });
    }
  });
}

test('after ten wrong guesses no other is verified, over every transport', LIMITS, async (t) => {
  const server = await start(t, BY_PASSWORD);
  const tabs = CELLS.map((cell) => open(t, cell, server.url));
  const [guesser] = tabs;
  for (let number = 1; number <= 10; number += 1) {
    guesser.turted.ident({ username: 'adam', password: `guess ${number}` });
    assert.equal(await guesser.refusal(), 'IDENT not verified');
  }
  for (const tab of tabs) {
    tab.turted.ident({ username: 'adam', password: BY_PASSWORD.auth.password });
    assert.equal(await tab.refusal(), 'too many wrong IDENTs from this address (limits.wrong_idents)');
    await tab.echo();
  }
});

test('a second IDENT replaces the first', LIMITS, async (t) => {
  const server = await start(t);
  const tab = open(t, CELLS[0], server.url);
  await tab.ident('adam');
  await tab.ident('bob');
  await server.emit('FOR ADAM', { users: ['adam'] });
  await server.emit('FOR BOB', { users: ['bob'] });
  await tab.event('FOR BOB');
  assert.deepEqual(tab.heard, ['FOR BOB']);
});
