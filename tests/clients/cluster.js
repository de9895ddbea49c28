'use strict';
// Several servers on one Redis, behind a balancer without stickiness: each request goes to the next server in turn, and so
// does each push. It has the interface of one server (`server.js`).

const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { afterwards } = require('./afterwards');
const { startRedis } = require('./redis');
const { Server } = require('./server');
const { until } = require('./waiting');

const NODES = 3;
const NOBODY = { event: 'READY', targets: {} };

/** Passes each request on to the next server, over a connection of its own. */
class Balancer {
  constructor(ports) {
    this.ports = ports;
    this.turn = 0;
    this.sockets = new Set();
    this.listener = http.createServer((request, response) => this.pass(request, response));
    this.listener.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    this.listener.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
    });
    // No request waits for the end of another.
    this.listener.keepAliveTimeout = 1;
    this.listener.requestTimeout = 0;
  }

  next() {
    const ports = this.ports();
    return ports[this.turn++ % ports.length];
  }

  pass(request, response) {
    const { method, url: path } = request;
    const headers = { ...request.headers };
    const onward = http.request({ host: '127.0.0.1', port: this.next(), method, path, headers, agent: false });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.statusMessage, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    // A server may answer before the body comes.
    onward.flushHeaders();
    request.pipe(onward);
  }

  upgrade({ method, url, httpVersion, rawHeaders }, socket, head) {
    const onward = net.connect(this.next(), '127.0.0.1');
    const lines = [`${method} ${url} HTTP/${httpVersion}`];
    for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
    onward.write(`${lines.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    onward.setNoDelay(true);
    socket.pipe(onward).pipe(socket);
    onward.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  }

  async listen(port) {
    this.listener.listen(port, '127.0.0.1');
    await once(this.listener, 'listening');
  }

  close() {
    for (const socket of this.sockets) socket.destroy();
    return new Promise((resolve) => this.listener.close(resolve));
  }
}

/** Whether a server tells of a channel with presence that no other server is silent. */
async function knowsAll(node, channel) {
  const stream = await fetch(`${node.url}/sse?channel=${channel}&presence=1`);
  let text = '';
  for await (const bytes of stream.body) {
    text += Buffer.from(bytes).toString();
    if (/^data: .*\n/m.test(text)) return !text.includes('"silent"');
  }
}

/** Servers that are killed, started and put away together, and a balancer whose port is theirs. */
class Cluster extends Server {
  constructor(config, env, redis) {
    super(config, env);
    const cluster = { url: `redis://127.0.0.1:${redis}/0`, listen: '127.0.0.1:0' };
    // A log on disk has given way to that of the cluster.
    const own = { ...config, log: { store: 'redis' }, cluster };
    this.nodes = Array.from({ length: NODES }, () => new Server(own, { TURTED_ADMIN_LISTEN: '', ...env }));
    this.balancer = new Balancer(() => this.nodes.map((node) => node.port));
  }

  get alive() {
    return this.nodes.every((node) => node.alive);
  }

  async run() {
    this.ended = false;
    await Promise.all(this.nodes.map((node) => node.run()));
    const isReady = async (node) => (await node.push(this.nobody())).status === 200;
    for (const node of this.nodes) await until(() => isReady(node).catch(() => false), () => node.output);
    const [told] = (this.config.channels ?? []).filter(({ presence }) => presence);
    // A server that has not heard of the others yet says that they are silent.
    for (const node of told ? this.nodes : []) await until(() => knowsAll(node, `${told.prefix}-nobody`), () => node.output);
    if (this.balancer.listener.listening) return;
    await this.balancer.listen(this.port);
    this.port = this.balancer.listener.address().port;
  }

  nobody() {
    return { ...NOBODY, auth: this.config.push?.password && { password: this.config.push.password } };
  }

  async stop(...options) {
    this.end();
    const codes = await Promise.all(this.nodes.map((node) => node.stop(...options)));
    return Math.max(...codes);
  }

  async kill() {
    this.end();
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  end() {
    this.agent.destroy();
    this.ended = true;
  }

  async putAway() {
    await this.balancer.close();
    this.end();
    for (const node of this.nodes) await node.putAway();
    await super.putAway();
  }
}

/** Servers that are ready and end with the test `t`. */
async function startCluster(t, config = {}, env = {}) {
  const redis = await startRedis(t);
  const cluster = new Cluster({ push: { method: 'none' }, ...config }, env, redis);
  afterwards(t, () => cluster.putAway());
  await cluster.run();
  return cluster;
}

module.exports = { startCluster };
