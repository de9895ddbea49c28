'use strict';
// How @turted/client gets tokens and renews them. LIBRARY_TOKEN_SECONDS says how long the test of short tokens takes.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { start } = require('../server');
const { until } = require('../waiting');
const { BY_JWT, jwt } = require('./jwt');
const { open, TurtedError } = require('./open');
const { relayTo } = require('./relay');

const LIMITS = { timeout: 60_000 };
// 10 s, less what node's timers and the clock's milliseconds may take off.
const TEN_SECONDS = 9_900;
const SECONDS = Number(process.env.LIBRARY_TOKEN_SECONDS || 20);

/** A `getToken` that takes its answers from a list, the last one again and again, and notes why and when it was called. */
function giving(...answers) {
  const calls = [];
  const getToken = ({ reason }) => {
    calls.push({ reason, at: Date.now() });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return typeof answer === 'function' ? answer() : answer;
  };
  return { calls, getToken, reasons: () => calls.map(({ reason }) => reason) };
}

const fail = (error) => () => {
  throw error;
};

describe('a client with tokens', { concurrency: 4 }, () => {
  test(`loses nothing of a channel in ${SECONDS} s of tokens that are good for 5 s`, { timeout: 60_000 + SECONDS * 1000 }, async (t) => {
    const server = await start(t, BY_JWT);
    const { calls, getToken, reasons } = giving(() => jwt('adam', 5));
    const page = open(t, server.url, { getToken });
    await page.turted.join('private.adam');
    const end = Date.now() + SECONDS * 1000;
    let number = 0;
    for (; Date.now() < end; number++) {
      await server.emit('N', { channels: ['private.adam'] }, number);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await page.heard(number - 1);
    assert.deepEqual(page.payloads, [...Array(number).keys()]);
    assert.deepEqual([page.gaps, page.errors, page.requests('join').length], [[], [], 1]);
    assert.deepEqual(reasons(), ['first', ...Array(calls.length - 1).fill('expires')]);
    assert.ok(calls.length > SECONDS / 5);
  });

  test('waits with its joins until it has a token, and asks again after failures', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const wrong = new Error('the backend is away');
    const { calls, getToken, reasons } = giving(fail(wrong), async () => fail(wrong)(), () => jwt('adam', 60));
    const page = open(t, server.url, { getToken });
    await page.turted.join('private.adam');
    assert.equal(page.turted.user, 'adam');
    assert.deepEqual(reasons(), ['first', 'first', 'first']);
    assert.deepEqual(page.errors, [wrong, wrong]);
    assert.deepEqual(page.states.map(({ state }) => state), ['connecting', 'connected']);
    assert.ok(calls[2].at - calls[1].at >= 900, 'a second apart, or the second half of two');
  });

  test('gives a call up after 10 s, and makes no second one before', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const { calls, getToken } = giving(() => new Promise(() => {}), () => jwt('adam', 60));
    const page = open(t, server.url, { getToken });
    const joined = page.turted.join('private.adam');
    await until(() => calls.length === 2, 'a second call', 30_000);
    await joined;
    assert.ok(calls[1].at - calls[0].at >= TEN_SECONDS);
    assert.deepEqual(page.errors.map(({ code }) => code), ['token-late']);
  });

  test('sends a token never again that was refused, and asks for another after 10 s', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const wrong = jwt('adam', 60, {}, 'another key of 32 bytes or more!');
    const { calls, getToken, reasons } = giving(wrong, wrong, () => jwt('adam', 60));
    const page = open(t, server.url, { getToken });
    await until(() => calls.length === 3, 'three calls', 40_000);
    await page.is('connected');
    assert.equal(page.turted.user, 'adam');
    assert.deepEqual(reasons(), ['first', 'ident-refused', 'ident-refused']);
    assert.ok(calls[1].at - calls[0].at >= TEN_SECONDS && calls[2].at - calls[1].at >= TEN_SECONDS);
    assert.equal(page.requests('ident').length, 2);
    assert.deepEqual(page.errors.map(({ code }) => code), ['ident-refused']);
  });

  test('asks for a token at once where one has expired, and tells nobody', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const { getToken, reasons } = giving(jwt('adam', -60), () => jwt('adam', 60));
    const page = open(t, server.url, { getToken });
    await page.turted.join('private.adam');
    assert.deepEqual(reasons(), ['first', 'token-expired']);
    assert.deepEqual([page.errors, page.gaps], [[], []]);
  });

  test('tells of one gap after a token expired before there was another', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    let release;
    const late = () => new Promise((resolve) => (release = () => resolve(jwt('adam', 60))));
    const { getToken } = giving(() => jwt('adam', 2), late);
    const page = open(t, server.url, { getToken });
    await page.turted.join('private.adam');
    await page.turted.join('open');
    await until(() => page.turted.user === undefined, 'the end of the token');
    await server.emit('N', { channels: ['private.adam'] }, 'missed');
    await server.emit('N', { channels: ['open'] }, 'open');
    await page.heard('open');
    assert.deepEqual(page.gaps, []);
    const gapped = new Promise((resolve) => page.turted.onGap(resolve));
    const meanwhile = page.turted.join('private.late');
    release();
    assert.equal((await gapped).code, 'token-expired');
    await meanwhile;
    assert.equal(page.turted.user, 'adam');
    await server.emit('N', { channels: ['private.adam'] }, 'again');
    await page.heard('again');
    assert.deepEqual(page.payloads, ['open', 'again']);
    assert.deepEqual([page.gaps.length, page.errors], [1, []]);
  });

  test('is the user again whose token expired while the connection was dead', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const relay = await relayTo(t, server);
    const { getToken } = giving(() => jwt('adam', 3), () => jwt('adam', 60));
    const page = open(t, relay.url, { getToken });
    await page.turted.join('private.adam');
    await page.turted.join('open');
    relay.swallow();
    const missed = { event: 'N', targets: { channels: ['private.adam'] }, payload: 'missed' };
    const reached = async () => JSON.parse((await server.push(missed, { Accept: 'application/json' })).body).delivered;
    // Nobody is in the channel any more when the token has expired.
    while (await reached());
    relay.cut();
    await until(() => page.gaps.length === 1, 'a gap', 20_000);
    assert.equal(page.turted.user, 'adam');
    await server.emit('N', { channels: ['private.adam'] }, 'again');
    await page.heard('again');
    assert.deepEqual(page.payloads, ['again']);
    assert.deepEqual([page.gaps[0].code, page.errors], ['token-expired', []]);
  });

  test('leaves what another user may not join, and joins what it may', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const eve = () => jwt('eve', 60, { channels: ['private.all'] });
    const { getToken } = giving(() => jwt('adam', 2), eve);
    const page = open(t, server.url, { getToken });
    await Promise.all(['private.adam', 'private.all', 'open'].map((name) => page.turted.join(name)));
    await until(() => page.turted.user === 'eve', 'the other user');
    await until(() => page.errors.length === 1);
    assert.equal(page.errors[0].code, 'join-refused');
    for (const name of ['private.adam', 'private.all', 'open']) await server.emit('N', { channels: [name] }, name);
    await server.emit('N', { users: ['eve'] }, 'last');
    await page.heard('last');
    assert.deepEqual(page.payloads, ['private.all', 'open', 'last']);
  });

  test('is nobody if the answer is null', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const { getToken } = giving(null);
    const page = open(t, server.url, { getToken });
    await page.turted.join('open');
    assert.equal(page.turted.user, undefined);
    await assert.rejects(page.turted.join('private.adam'), { code: 'join-refused' });
    assert.equal(await page.turted.ident({ token: jwt('adam', 60) }), 'adam');
    await page.turted.join('private.adam');
    assert.deepEqual([page.errors, page.requests('ident').length], [[], 1]);
  });

  test('becomes nobody if a later answer is null', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const { getToken } = giving(() => jwt('adam', 2), null);
    const page = open(t, server.url, { getToken });
    await page.turted.join('private.adam');
    await page.turted.join('open');
    await until(() => page.turted.user === undefined && page.gaps.length === 1);
    await server.emit('N', { users: ['adam'] }, 'adam');
    await server.emit('N', { channels: ['private.adam'] }, 'private');
    await server.emit('N', { channels: ['open'] }, 'open');
    await page.heard('open');
    assert.deepEqual(page.payloads, ['open']);
    assert.deepEqual(page.errors.map(({ code }) => code), ['join-refused']);
  });

  test('ends if it may have no token', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const unauthorized = new TurtedError('unauthorized', 'logged out');
    const { getToken } = giving(fail(unauthorized));
    const page = open(t, server.url, { getToken });
    await assert.rejects(page.turted.join('open'), { code: 'closed' });
    assert.equal(page.turted.state, 'closed');
    assert.deepEqual([page.states.at(-1).code, page.states.at(-1).reason], ['unauthorized', 'logged out']);
    assert.deepEqual(page.errors, [unauthorized]);
  });

  test('tells of an answer that is no proof', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const { getToken } = giving(undefined, { token: jwt('adam', 60), extra: true });
    const page = open(t, server.url, { getToken });
    await page.turted.echo(1);
    assert.deepEqual(page.errors.map(({ name }) => name), ['TypeError']);
    assert.equal(page.turted.user, 'adam');
  });

  test('sends what `ident` has along with a token', LIMITS, async (t) => {
    const server = await start(t, { auth: { method: 'password', password: 'sesame' } });
    const page = open(t, server.url, { ident: { username: 'adam', password: 'sesame' }, getToken: () => 'unused' });
    await page.is('connected');
    assert.equal(page.turted.user, 'adam');
  });

  test('shows the token it has after a restart, and asks only if it is refused', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const relay = await relayTo(t, server);
    const { getToken, reasons } = giving(() => jwt('adam', 600));
    const page = open(t, relay.url, { getToken });
    await page.turted.join('private.adam');
    await server.restart();
    await until(() => page.gaps.length === 1);
    await server.emit('N', { channels: ['private.adam'] }, 'again');
    await page.heard('again');
    assert.deepEqual(reasons(), ['first']);
  });

  test('says that a user it cannot renew is gone, and is told of the gap when it is back', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const page = open(t, server.url, { ident: { token: jwt('adam', 2) } });
    await page.turted.join('private.adam');
    await until(() => page.turted.user === undefined, 'the end of the token');
    await until(() => page.errors.length >= 1);
    assert.equal(page.errors[0].code, 'token-expired');
    await page.turted.join('open');
    assert.deepEqual(page.gaps, []);
    await page.turted.ident({ token: jwt('adam', 60) });
    await until(() => page.gaps.length === 1);
    await server.emit('N', { channels: ['private.adam'] }, 'again');
    await page.heard('again');
  });

  test('tells of a second gap when the page brings a user back that expired while it was away', LIMITS, async (t) => {
    const server = await start(t, BY_JWT);
    const relay = await relayTo(t, server);
    const page = open(t, relay.url, { ident: { token: jwt('adam', 1) } });
    await page.turted.join('private.adam');
    relay.drop();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    relay.restore();
    await until(() => page.gaps.length === 1);
    assert.equal(page.turted.user, undefined);
    await server.emit('N', { channels: ['private.adam'] }, 'missed');
    await page.turted.ident({ token: jwt('adam', 60) });
    await until(() => page.gaps.length === 2);
    await server.emit('N', { channels: ['private.adam'] }, 'again');
    await page.heard('again');
    assert.deepEqual(page.payloads, ['again']);
  });
});
