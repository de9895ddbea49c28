'use strict';
// A log on a file system that hangs, and on one that the kernel has given up: ext4 on a loop device. It takes root, so that it
// runs only where TURTED_TEST_DISK=1 asks for it (`just disk`).

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { WebSocket } = require('ws');
const { afterwards } = require('./afterwards');
const { request } = require('./http');
const { temporary } = require('./lost/temporary');
const { start } = require('./server');
const { until } = require('./waiting');

const isAsked = process.env.TURTED_TEST_DISK === '1' && process.getuid() === 0;
const skip = !isAsked && 'mounts a file system: TURTED_TEST_DISK=1, as root';
const IMAGE_BYTES = 32 << 20;
const ADMIN = '127.0.0.1:17118';

const system = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** An ext4 of its own for the test `t`: where it is mounted, and its name in /sys. */
function ext4(t) {
  const folder = temporary(t);
  const [image, mount] = ['image', 'mount'].map((name) => path.join(folder, name));
  fs.mkdirSync(mount);
  fs.writeFileSync(image, '');
  fs.truncateSync(image, IMAGE_BYTES);
  system('mkfs.ext4', '-q', image);
  const disk = {
    mount,
    put: () => system('mount', '-o', 'loop,errors=remount-ro', image, mount),
    take: () => system('umount', mount),
    // It ends with 1 when it has mended something.
    repair: () => assert.ok(spawnSync('e2fsck', ['-fp', image]).status <= 1),
  };
  disk.put();
  const device = path.basename(system('findmnt', '-no', 'SOURCE', mount).trim());
  disk.fail = () => fs.writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'a test');
  disk.freeze = () => system('fsfreeze', '--freeze', mount);
  disk.thaw = () => system('fsfreeze', '--unfreeze', mount);
  afterwards(t, () => {
    // What is frozen cannot be taken away, and what is not frozen cannot be thawed.
    for (const end of [disk.thaw, disk.take]) {
      try {
        end();
      } catch {}
    }
  });
  return disk;
}

/** A server whose log is on this disk. */
function serve(t, disk, more = {}) {
  const log = { directory: path.join(disk.mount, 'log'), sync: 'always', ...more };
  return start(t, { log }, { TURTED_ADMIN_LISTEN: ADMIN });
}

/** Connects by turted.v1: a function that asks, and promises of the end and of what is heard. */
async function client(server) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`, 'turted.v1');
  const heard = [];
  socket.on('message', (data) => heard.push(JSON.parse(data)));
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  return { heard, closed, ask: (message) => socket.send(JSON.stringify(message)), end: () => socket.terminate() };
}

const welcomed = ({ heard }) => until(() => heard.some((message) => message.welcome));
const replied = ({ heard }, id) => until(() => heard.find(({ reply }) => reply === id));
const ready = async () => (await request(`http://${ADMIN}/ready`, {})).body;
const state = async () => /turted_log_state\{state="(\w+)"\} 1/.exec((await request(`http://${ADMIN}/metrics`, {})).body)[1];
const push = { event: 'e', targets: { channel: 'chat' }, payload: 1 };

test('a disk that hangs holds no client up for longer than 6 s, and all goes on when it answers', { skip }, async (t) => {
  const disk = ext4(t);
  const server = await serve(t, disk);
  const [quiet, joins] = [await client(server), await client(server)];
  await Promise.all([welcomed(quiet), welcomed(joins)]);
  quiet.ask({ id: 1, do: 'join', channel: 'chat' });
  await replied(quiet, 1);
  disk.freeze();
  const began = Date.now();
  joins.ask({ id: 1, do: 'join', channel: 'chat' });
  const comes = await client(server);
  const pushed = server.push(push);
  assert.equal(await joins.closed, 4102);
  const ms = Date.now() - began;
  assert.ok(ms >= 4_900, `after ${ms} ms`);
  assert.equal(await comes.closed, 4102);
  assert.deepEqual(joins.heard.filter(({ reply }) => reply !== undefined), [], 'nothing is promised');
  assert.equal((await pushed).status, 503);
  assert.equal((await server.push(push)).status, 503);
  disk.thaw();
  await until(async () => (await server.push({ ...push, payload: 2 })).status === 200);
  assert.equal(await state(), 'disk');
  await until(() => quiet.heard.some(({ payload }) => payload === 2), 'the client that asked for nothing is there');
  const back = await client(server);
  await welcomed(back);
  [quiet, back].forEach(({ end }) => end());
});

test('a disk that the kernel has given up takes no push, until it is repaired and the server is started again', { skip }, async (t) => {
  const disk = ext4(t);
  const server = await serve(t, disk);
  const member = await client(server);
  await welcomed(member);
  member.ask({ id: 1, do: 'join', channel: 'chat' });
  await replied(member, 1);
  assert.equal((await server.push(push)).status, 200);
  disk.fail();
  // No mark can be set on a file system that is read-only, so that a later start would take the directory for whole.
  const refused = await until(async () => {
    const answer = await server.push(push);
    return answer.status === 503 && answer;
  });
  assert.match(refused.body, /log/);
  assert.match(await ready(), /log/);
  assert.ok(member.heard.some(({ event }) => event === 'e'));
  member.end();
  await server.kill();
  disk.take();
  disk.repair();
  disk.put();
  await server.run();
  assert.equal((await server.push(push)).status, 200);
  assert.equal(await state(), 'disk');
});
