'use strict';
// A client that answers heartbeats stays connected; a silent client is closed.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { setTimeout } = require('node:timers/promises');
const { connectSocket } = require('./raw');
const { start } = require('./server');
const { CELLS, open } = require('./tab');
const { until } = require('./waiting');

const LIMITS = { timeout: 30_000 };
// Long enough for a busy machine: nine clients of three generations share one thread of node.
const BEAT_MS = 400;
const FAST_HEARTBEAT = { socketio: { ping_interval: `${BEAT_MS}ms`, ping_timeout: `${BEAT_MS}ms` } };

test('every client over every transport stays connected for ten heartbeats', LIMITS, async (t) => {
  const server = await start(t, FAST_HEARTBEAT);
  const drops = [];
  const lives = CELLS.map((cell) => {
    const life = { tab: open(t, cell, server.url), beats: 0 };
    life.tab.native.on('disconnect', (reason) => drops.push(`${cell.title}: ${reason}`));
    // The engine of each generation emits `pong` after a heartbeat, whichever side began it.
    life.tab.native.io.engine.on('pong', () => life.beats++);
    return life;
  });
  await Promise.all(lives.map((life) => life.tab.ident('adam')));
  await until(() => drops.length > 0 || lives.every((life) => life.beats >= 10), 'ten heartbeats of each');
  assert.deepEqual(drops, []);
  await server.emit('ALIVE', { users: ['adam'] });
  await Promise.all(lives.map((life) => life.tab.event('ALIVE')));
});

describe('a silent client', { concurrency: true }, () => {
  const SILENT = [
    [4, 'that never answers a ping is closed after the interval and the timeout'],
    [3, 'that never sends a ping is closed after the interval and the timeout'],
  ];
  for (const [eio, title] of SILENT) {
    test(`of Engine.IO ${eio} ${title}`, LIMITS, async (t) => {
      const server = await start(t, FAST_HEARTBEAT);
      const begin = Date.now();
      const raw = await connectSocket(t, server, eio);
      await raw.close();
      // Timers count whole milliseconds, so one millisecond may be missing at each end.
      assert.ok(Date.now() - begin >= 2 * BEAT_MS - 2, `closed after ${Date.now() - begin} ms`);
      assert.deepEqual(raw.frames, eio === 4 ? ['2'] : []);
    });
  }

  test('of Engine.IO 3 that sends pings has each answered and stays', LIMITS, async (t) => {
    const server = await start(t, FAST_HEARTBEAT);
    const raw = await connectSocket(t, server, 3);
    // Pings half a beat apart, for longer than a silent client would stay connected.
    for (let ping = 0; ping < 6; ping++) {
      assert.equal(await raw.ask('2'), '3');
      await setTimeout(BEAT_MS / 2);
    }
    assert.equal(raw.closed, false);
  });
});
