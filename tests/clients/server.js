'use strict';
// The turted server as a child process on a port of its own.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { afterwards } = require('./afterwards');
const { request } = require('./http');
const { until } = require('./waiting');

const BINARY = path.resolve(__dirname, process.env.TURTED_BIN || '../../target/debug/turted');
const LISTENING = /listening on https?:\/\/127\.0\.0\.1:(\d+)/;
// A server without clients stops within milliseconds; a busy machine needs more.
const STOP_MS_MAX = 15_000;
// A start reads the log on disk.
const START_MS_MAX = 60_000;

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** `{ section: { key: value } }` as TOML; a section may be a list of such. */
function toml(config) {
  const line = ([key, value]) => `${key} = ${JSON.stringify(value)}\n`;
  const table = (head, keys) => `${head}\n${Object.entries(keys).map(line).join('')}`;
  return Object.entries(config)
    .flatMap(([section, keys]) =>
      Array.isArray(keys) ? keys.map((one) => table(`[[${section}]]`, one)) : [table(`[${section}]`, keys)],
    )
    .join('\n');
}

class Server {
  constructor(config, env) {
    this.config = config;
    this.env = env;
    this.port = 0;
    this.output = '';
    this.agent = new http.Agent({ keepAlive: true });
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-clients-'));
    this.configFile = path.join(this.directory, 'turted.toml');
    fs.writeFileSync(this.configFile, toml(config));
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts the process: on a free port the first time, on the same port afterwards. */
  async run() {
    const before = this.output.length;
    this.ended = false;
    const args = ['serve', '--listen', `127.0.0.1:${this.port}`, '--config', this.configFile];
    const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.env } });
    let failure = null;
    this.child = child;
    running.add(child);
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve({ error: (failure = error) }));
      child.once('exit', (code, signal) => resolve({ code, signal }));
    }).finally(() => running.delete(child));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.output += text));
    }
    const announced = () => {
      if (failure) throw new Error(`${BINARY} did not start: ${failure.message}`);
      if (!this.alive) throw new Error(`the server ended at its start:\n${this.output}`);
      return LISTENING.exec(this.output.slice(before));
    };
    this.port = Number((await until(announced, () => `an address in: ${this.output}`, START_MS_MAX))[1]);
  }

  /** Pushes by POST /push/; resolves with `{ status, reason, headers, body }`. */
  push(body, headers = {}) {
    const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return request(`${this.url}/push/`, {
      method: 'POST',
      body: text,
      agent: this.agent,
      headers: { 'Content-Type': 'application/json', ...headers },
    });
  }

  /** Pushes one event and checks that it was accepted. */
  async emit(event, targets, payload = {}) {
    const { password } = this.config.push || {};
    const auth = password === undefined ? undefined : { password };
    const answer = await this.push({ event, targets, payload, auth });
    assert.deepEqual([answer.status, answer.body], [200, 'OK']);
  }

  /** Ends the server as an operator does. Returns its exit code. */
  async stop(ms = STOP_MS_MAX) {
    this.agent.destroy();
    this.ended = true;
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), ms);
    const { code, signal, error } = await this.exited;
    clearTimeout(late);
    if (error) throw error;
    if (signal === 'SIGKILL') throw new Error(`the server did not end ${ms} ms after SIGTERM`);
    return code;
  }

  /** Ends the server as a power cut does. */
  async kill() {
    this.agent.destroy();
    this.ended = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Kills the server and starts it again on the same port. */
  async restart() {
    await this.kill();
    await this.run();
  }

  async putAway() {
    try {
      if (this.ended) return;
      assert.ok(this.alive, `the server died during the test:\n${this.output}`);
      const code = await this.stop();
      assert.equal(code, 0, `the server ended with ${code}:\n${this.output}`);
    } finally {
      this.agent.destroy();
      fs.rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

/** A running server that ends with the test `t`, or a cluster if `TURTED_TEST_CLUSTER` is set. `port`: 0 for any. */
async function start(t, config = {}, env = {}, port = 0) {
  // They need what is below.
  if (process.env.TURTED_TEST_CLUSTER) return require('./cluster').startCluster(t, config, env);
  const server = new Server({ push: { method: 'none' }, ...config }, env);
  server.port = port;
  afterwards(t, () => server.putAway());
  await server.run();
  return server;
}

module.exports = { BINARY, Server, start };
