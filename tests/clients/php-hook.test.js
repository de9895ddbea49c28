'use strict';
// A backend in PHP that listens: the program for hooks of the library's README, as it is printed.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { afterwards } = require('./afterwards');
const { start } = require('./server');
const { until } = require('./waiting');
const { openWebSocket } = require('./websocket');

const LIMITS = { timeout: 60_000 };
const LIBRARY = path.resolve(__dirname, '../../clients/php');
const SECRETS = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'];

/** Serves the program with these secrets until the test `t` has ended: `{ url, records() }`. */
async function backend(t, secrets) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-hook-'));
  afterwards(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  const readme = fs.readFileSync(path.join(LIBRARY, 'README.md'), 'utf8');
  const [program] = [...readme.matchAll(/^```php\n([^]*?)^```$/gm)].map(([, text]) => text).filter((text) => text.includes('Hook::verify'));
  const load = `<?php require '${path.join(LIBRARY, 'tests', 'bootstrap.php')}';`;
  fs.mkdirSync(path.join(directory, 'vendor'));
  const files = { 'hook.php': program, 'vendor/autoload.php': load, 'hook.secret': `${secrets.join('\n')}\n`, 'hook.log': '' };
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text, { mode: 0o600 });
  const child = spawn('php', ['-S', '127.0.0.1:0', 'hook.php'], { cwd: directory });
  afterwards(t, () => child.kill('SIGKILL'));
  const web = { directory, output: '' };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (web.output += text));
  web.url = (await until(() => /\((http:\/\/127\.0\.0\.1:\d+)\) started/.exec(web.output), () => `a server: ${web.output}`))[1];
  web.records = () => fs.readFileSync(path.join(directory, 'hook.log'), 'utf8').trim().split('\n');
  return web;
}

/** A hook to this backend, signed with all secrets. */
function hook(web, secrets) {
  const file = path.join(web.directory, 'signing.secret');
  fs.writeFileSync(file, `${secrets.join('\n')}\n`, { mode: 0o600 });
  const clients = ['user-online', 'joined'];
  return { name: 'php', url: web.url, secret_file: file, dispatches: ['order:*'], clients, grace: '200ms' };
}

test('a backend in PHP with one of two secrets hears who is online, and what is dispatched', LIMITS, async (t) => {
  const web = await backend(t, [SECRETS[1]]);
  const server = await start(t, { hooks: [hook(web, SECRETS)] });
  await until(() => web.records().includes('synced'), () => `synced in ${web.records()}`);
  const page = openWebSocket(t, server.url);
  await page.ident('adam');
  await page.join('chat');
  await server.emit('other', { broadcast: true });
  await server.emit('order:new', { broadcast: true });
  await until(() => web.records().includes('dispatch'), () => `dispatch in ${web.records()}`);
  await server.stop();
  assert.deepEqual(web.records(), ['started', 'synced', 'user-online', 'joined', 'dispatch', 'stopped']);
});

test('a backend in PHP with another secret refuses what it hears, with a status after which it comes again', LIMITS, async (t) => {
  const web = await backend(t, [SECRETS[1]]);
  const server = await start(t, { hooks: [hook(web, [SECRETS[0]])] });
  await until(() => web.output.match(/Closing/g)?.length >= 2, () => `two requests in: ${web.output}`);
  assert.match(server.output, /hook.* 401/);
  assert.deepEqual(web.records(), ['']);
});
