'use strict';
// Narrow links to a server, each for one client: `narrow.py` as a child process.

const path = require('node:path');
const { spawn } = require('node:child_process');
const { afterwards } = require('./afterwards');
const { until } = require('./waiting');

/** Opens links to `server`, each for `bytesPerSecond`: their addresses. They end with the test `t`. */
async function narrowLinks(t, server, links, bytesPerSecond) {
  const args = [path.join(__dirname, 'narrow.py'), server.port, links, bytesPerSecond].map(String);
  const child = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  let failure = null;
  child.on('error', (error) => (failure = error));
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const ended = new Promise((resolve) => child.once('close', resolve));
  afterwards(t, () => {
    child.stdin.end();
    child.kill();
    return ended;
  });
  await until(() => failure || output.endsWith('\n'), 'the ports of the links');
  if (failure) throw failure;
  return output.trim().split(' ').map((port) => `http://127.0.0.1:${port}`);
}

module.exports = { narrowLinks };
