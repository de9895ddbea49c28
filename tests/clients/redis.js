'use strict';
// redis-server as a child process on a port of its own.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { afterwards } = require('./afterwards');
const { freePort } = require('./ports');
const { until } = require('./waiting');

/** Whether somebody listens there. */
function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Starts a server that ends with the test `t`. Returns its port. */
async function startRedis(t) {
  const port = await freePort();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-redis-'));
  const args = ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
  const child = spawn('redis-server', args.map(String), { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  afterwards(t, async () => {
    child.kill('SIGKILL');
    await exited;
    fs.rmSync(directory, { recursive: true, force: true });
  });
  await until(() => answers(port), () => 'redis-server; install it with: apt-get install --no-install-recommends redis-server');
  return port;
}

module.exports = { startRedis };
