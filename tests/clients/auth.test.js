'use strict';
// Who may say that he is adam.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { describe, test } = require('node:test');
const { start } = require('./server');
const { CELLS, open } = require('./tab');

const LIMITS = { timeout: 30_000 };
const BY_PASSWORD = { auth: { method: 'password', password: 'IamAllowed2CONNECT!' } };
const BY_TOKEN = { auth: { method: 'token', hash: 'sha256', prefix: 'before-', suffix: '-after' } };

function token(username, prefix = BY_TOKEN.auth.prefix) {
  return createHash('sha256').update(`${prefix}${username}${BY_TOKEN.auth.suffix}`).digest('hex');
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
      'the token of somebody else': { token: token('eve') },
      'a token with another prefix': { token: token('adam', 'guess') },
      'a part of the token': { token: token('adam').slice(0, -1) },
      'a list': { token: [token('adam')] },
    },
  },
];

/** Shows that `tab` is nobody, though connected. */
async function isNobody(server, tab) {
  await server.emit('FOR ADAM', { users: ['adam'] });
  await server.emit('END', { broadcast: true });
  await tab.event('END');
  assert.deepEqual(tab.heard, ['END']);
}

function handshake(cell, data) {
  return cell.major === 2 ? { query: data } : { auth: data };
}

for (const { name, config, right, wrong } of AUTHENTICATORS) {
  describe(`the ${name} authenticator`, { concurrency: true }, () => {
    for (const cell of CELLS) {
      test(`accepts what is right from ${cell.title}`, LIMITS, async (t) => {
        const server = await start(t, config);
        const tab = open(t, cell, server.url);
        await tab.ident('adam', right);
        await server.emit('FOR ADAM', { users: ['adam'] });
        await tab.event('FOR ADAM');
      });

      test(`refuses what is wrong from ${cell.title} and lets it try again`, LIMITS, async (t) => {
        const server = await start(t, config);
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
        const server = await start(t, config);
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
