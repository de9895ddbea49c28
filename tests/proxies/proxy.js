'use strict';
// The samples of packaging/, each run by its real proxy on a free port before a server of the test.

const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { afterwards } = require('../clients/afterwards');
const { freePort, freePorts } = require('../clients/ports');
const { until } = require('../clients/waiting');

const SAMPLES = path.resolve(__dirname, '../../packaging');

/** The network that may push through a proxy; 127.0.0.4 and above are outside. */
const INSIDE = '127.0.0.0/30';

/** A certificate for localhost and its key as PEM files in `directory`. */
function certify(directory) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', [...made, '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  fs.writeFileSync(path.join(directory, 'both.pem'), fs.readFileSync(cert, 'utf8') + fs.readFileSync(key, 'utf8'));
  return { cert, key };
}

function directoryFor(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-proxies-'));
  afterwards(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A sample with the addresses of this test. Each text that is replaced must be in the sample. */
function adapt(name, replacements) {
  let text = fs.readFileSync(path.join(SAMPLES, name), 'utf8');
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Whether `socket` can be connected to. */
function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy()).once('connect', () => socket.destroy());
  });
}

/** Runs a proxy until the test is over. */
async function run(t, command, args, port, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const exited = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  afterwards(t, async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 3_000);
    await exited;
    clearTimeout(late);
  });
  let up = false;
  const look = () => {
    assert.equal(child.exitCode, null, `${command} ended:\n${output}`);
    answers(port).then((connected) => (up ||= connected));
    return up;
  };
  await until(look, () => `${command} to listen: ${output}`);
}

/** nginx before `server`; `changes` are further replacements in its sample. */
async function nginx(t, server, scheme = 'http', changes = []) {
  const [directory, port] = [directoryFor(t), await freePort()];
  const { cert, key } = certify(directory);
  const sample = adapt('nginx.conf', [
    ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`],
    ['    listen [::]:443 ssl http2;\n', ''],
    ['/etc/ssl/turted/fullchain.pem', cert],
    ['/etc/ssl/turted/privkey.pem', key],
    ['127.0.0.1:7117', `127.0.0.1:${server.port}`],
    ['proxy_pass http://turted', `proxy_pass ${scheme}://turted`],
    ['127.0.0.0/8', INSIDE],
    ...changes,
  ]);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join('\n');
  const main = `user root; pid ${directory}/pid; error_log stderr; daemon off; worker_processes 1;
    events {} http { access_log off; ${temporary}\n${sample} }`;
  fs.writeFileSync(path.join(directory, 'nginx.conf'), main);
  await run(t, 'nginx', ['-p', directory, '-c', path.join(directory, 'nginx.conf')], port);
  return port;
}

/** HAProxy in both ways: the port of the first, and the port of the second, which leads to `tlsPort`; `changes` as above. */
async function haproxy(t, port, tlsPort, changes = []) {
  const directory = directoryFor(t);
  certify(directory);
  const [front, through] = await freePorts(2);
  const config = adapt('haproxy.cfg', [
    ['bind :::443 v4v6 ', `bind 127.0.0.1:${front} `],
    ['bind :::8443 v4v6', `bind 127.0.0.1:${through}`],
    ['/etc/haproxy/turted.pem', path.join(directory, 'both.pem')],
    ['server turted 127.0.0.1:7117', `server turted 127.0.0.1:${port}`],
    ['server turted 127.0.0.1:7443', `server turted 127.0.0.1:${tlsPort}`],
    ['127.0.0.0/8', INSIDE],
    ...changes,
  ]).replace('maxconn 100000', 'maxconn 1000');
  fs.writeFileSync(path.join(directory, 'haproxy.cfg'), config);
  await run(t, 'haproxy', ['-db', '-f', path.join(directory, 'haproxy.cfg')], front);
  return { front, through };
}

/** Caddy before `server`, changed as above, with a certificate of the test. Caddy would otherwise request one. */
async function caddy(t, server, changes = []) {
  const [directory, port] = [directoryFor(t), await freePort()];
  const { cert, key } = certify(directory);
  const config = adapt('Caddyfile', [
    ['turted.example.com {', `https://127.0.0.1:${port}, https://turted.example.com:${port} {\n\tbind 127.0.0.1\n\ttls ${cert} ${key}`],
    ['127.0.0.1:7117', `127.0.0.1:${server.port}`],
    ['private_ranges', INSIDE],
    ...changes,
  ]);
  const file = path.join(directory, 'Caddyfile');
  // Without this Caddy waits for streams to end when it is stopped.
  const options = ['admin off', 'skip_install_trust', 'auto_https off', 'grace_period 10ms'];
  fs.writeFileSync(file, `{\n\t${options.join('\n\t')}\n}\n${config}`);
  const home = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  await run(t, 'caddy', ['run', '--adapter', 'caddyfile', '--config', file], port, home);
  return port;
}

/** Whether a command is installed. */
function has(command) {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
}

module.exports = { caddy, certify, directoryFor, haproxy, has, nginx };
