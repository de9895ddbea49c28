'use strict';
// What @turted/client does when the network or the server fails.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { start } = require('../server');
const { until, untilDoing } = require('../waiting');
const { open, TRANSPORTS } = require('./open');
const { relayTo } = require('./relay');

const LIMITS = { timeout: 60_000 };

/** A client of adam in `chat`, behind a relay, after its first event. */
async function settled(t, options = {}, config = {}) {
  const server = await start(t, config);
  const relay = await relayTo(t, server);
  const page = open(t, relay.url, { ident: { username: 'adam' }, ...options });
  await page.turted.join('chat');
  await server.emit('N', { channels: ['chat'] }, 'first');
  await page.heard('first');
  return { server, relay, page, turted: page.turted };
}

for (const { title, options } of TRANSPORTS) {
  describe(`a client over ${title}`, { concurrency: true }, () => {
    test('goes on where it was after a cut, without a gap', LIMITS, async (t) => {
      const { server, relay, page, turted } = await settled(t, options);
      relay.drop();
      await page.becomes('waiting');
      for (let number = 0; number < 100; number++) {
        await server.emit('N', number % 2 ? { users: ['adam'] } : { channels: ['chat'] }, number);
      }
      relay.restore();
      await page.is('connected');
      await page.heard(99);
      assert.deepEqual(page.payloads, ['first', ...Array(100).keys()]);
      assert.deepEqual([turted.recovered, turted.user, page.gaps, page.errors], [true, 'adam', [], []]);
    });

    test('is who it was after the server was killed, and tells of one gap when it has joined', LIMITS, async (t) => {
      const { server, page, turted } = await settled(t, options);
      await turted.join('more');
      const gapped = new Promise((resolve) => turted.onGap(() => resolve(server.emit('N', { channels: ['more'] }, 'joined'))));
      await server.restart();
      await gapped;
      await page.heard('joined');
      await server.emit('N', { users: ['adam'] }, 'user');
      await page.heard('user');
      assert.deepEqual(page.gaps.map(({ code }) => code), ['session-unknown']);
      assert.deepEqual([turted.recovered, turted.user, page.errors], [false, 'adam', []]);
    });

    test('comes back after the server was stopped', LIMITS, async (t) => {
      const { server, page } = await settled(t, options);
      await server.stop();
      await page.is('waiting');
      assert.ok([1006, 1012].includes(page.states.find(({ state }) => state === 'waiting').code));
      await server.run();
      await until(() => page.gaps.length === 1);
      await server.emit('N', { channels: ['chat'] }, 'again');
      await page.heard('again');
    });

    test('repeats requests that have no answer, in whichever way the connection broke', LIMITS, async (t) => {
      const { server, relay, page, turted } = await settled(t, options);
      relay.swallow();
      const answers = [turted.echo('lost'), turted.join('late'), turted.leave('chat'), turted.ident({ username: 'eve' })];
      await turted.echo.call; // Nothing is sent before the microtask of the calls.
      await new Promise(setImmediate);
      relay.cut();
      assert.deepEqual(await Promise.all(answers), ['lost', undefined, undefined, 'eve']);
      await server.emit('N', { channels: ['chat'] }, 'left');
      await server.emit('N', { channels: ['late'] }, 'joined');
      await server.emit('N', { users: ['eve'] }, 'user');
      await page.heard('user');
      assert.deepEqual(page.payloads, ['first', 'joined', 'user']);
    });

    test('sends much at once that JSON makes twice as long', LIMITS, async (t) => {
      const server = await start(t);
      const { turted, states } = open(t, server.url, options);
      const data = '\\'.repeat(32_000);
      const answers = await Promise.all(Array.from({ length: 20 }, () => turted.echo(data)));
      assert.ok(answers.every((answer) => answer === data));
      assert.deepEqual(states.map(({ state }) => state), ['connecting', 'connected']);
    });

    test('is told what it missed while it was refused as well', LIMITS, async (t) => {
      const { server, relay, page } = await settled(t, options);
      relay.drop();
      await until(() => page.states.filter(({ state }) => state === 'waiting').length >= 4);
      await server.emit('N', { channels: ['chat'] }, 'missed');
      relay.restore();
      await page.heard('missed');
      assert.deepEqual(page.gaps, []);
    });
  });
}

describe('a client', { concurrency: true }, () => {
  test('notices a connection that is silent for too long, and loses nothing', LIMITS, async (t) => {
    const { server, relay, page, turted } = await settled(t, {}, { websocket: { ping_interval: '1s' } });
    relay.swallow();
    await server.emit('N', { channels: ['chat'] }, 'swallowed');
    // 1 s of silence, and 10 s in which the answer does not come.
    await page.heard('swallowed').catch(() => page.heard('swallowed'));
    assert.deepEqual([turted.recovered, page.gaps, page.errors], [true, [], []]);
  });

  test('stays connected while it is silent, because it is answered', LIMITS, async (t) => {
    const { page } = await settled(t, {}, { websocket: { ping_interval: '1s' } });
    await until(() => page.requests('ping').length === 3, 'three pings');
    assert.deepEqual(page.states.map(({ state }) => state), ['connecting', 'connected']);
  });

  test('resumes from a channel that was quiet for longer than events are kept', LIMITS, async (t) => {
    const config = { websocket: { ping_interval: '1s' }, recovery: { max_age: '2s' } };
    const { server, relay, page } = await settled(t, {}, config);
    await untilDoing(() => page.requests('ping').length >= 5, () => server.emit('N', { channels: ['elsewhere'] }), 'five pings');
    relay.drop();
    await page.is('waiting');
    await server.emit('N', { channels: ['chat'] }, 'missed');
    relay.restore();
    await page.heard('missed');
    assert.deepEqual([page.turted.recovered, page.gaps], [true, []]);
  });

  test('goes on over SockJS where no WebSocket is let through, after two refusals', LIMITS, async (t) => {
    const server = await start(t);
    const relay = await relayTo(t, server);
    relay.webSockets = 'refuse';
    const { turted, errors, payloads, ...page } = open(t, relay.url, { retry: undefined });
    await turted.join('chat');
    assert.equal(relay.upgrades, 2);
    await server.emit('N', { channels: ['chat'] }, 1);
    await until(() => page.events.length === 1);
    relay.cut();
    await until(() => page.states.filter(({ state }) => state === 'connected').length === 2);
    // It does not ask for a WebSocket again before five minutes are over.
    assert.equal(relay.upgrades, 2);
    assert.deepEqual([turted.recovered, errors, payloads], [true, [], []]);
  });

  test('goes on over SockJS where WebSockets are swallowed', LIMITS, async (t) => {
    const server = await start(t);
    const relay = await relayTo(t, server);
    relay.webSockets = 'swallow';
    const page = open(t, relay.url);
    // Twice the 5 s that a handshake may take.
    await until(() => page.turted.state === 'connected', 'connected', 30_000);
    assert.equal(relay.upgrades, 2);
    assert.equal(page.states.find(({ state }) => state === 'waiting').code, 'no-welcome');
  });

  test('takes its session along when it changes the transport', LIMITS, async (t) => {
    const { server, relay, page } = await settled(t);
    relay.drop();
    await page.is('waiting');
    await server.emit('N', { channels: ['chat'] }, 'missed');
    relay.webSockets = 'refuse';
    relay.restore();
    await page.heard('missed');
    assert.deepEqual([page.turted.recovered, page.gaps, page.payloads], [true, [], ['first', 'missed']]);
  });

  test('stays with WebSockets if the server was only away for a moment', LIMITS, async (t) => {
    const { server, relay, page } = await settled(t);
    const upgrades = relay.upgrades;
    await server.kill();
    await until(() => page.states.filter(({ state }) => state === 'waiting').length >= 3);
    await server.run();
    await page.is('connected');
    relay.cut();
    await page.becomes('waiting');
    await page.is('connected');
    assert.ok(relay.upgrades > upgrades);
  });

  test('tells of a gap if more was missed than the server keeps', LIMITS, async (t) => {
    const { server, relay, page } = await settled(t, {}, { recovery: { replay: 10 } });
    relay.drop();
    await page.is('waiting');
    for (let number = 0; number < 20; number++) await server.emit('N', { channels: ['chat'] }, number);
    relay.restore();
    await until(() => page.gaps.length === 1);
    await server.emit('N', { channels: ['chat'] }, 'again');
    await page.heard('again');
    assert.deepEqual([page.gaps[0].code, page.payloads], ['gap', ['first', 'again']]);
  });

  test('tells of no gap before it was ever connected', LIMITS, async (t) => {
    const server = await start(t);
    const relay = await relayTo(t, server);
    relay.drop();
    const page = open(t, relay.url);
    page.turted.join('chat').catch(() => {});
    await until(() => page.states.filter(({ state }) => state === 'waiting').length >= 3);
    relay.restore();
    await page.turted.echo(1);
    assert.deepEqual([page.gaps, page.turted.recovered], [[], false]);
  });
});
