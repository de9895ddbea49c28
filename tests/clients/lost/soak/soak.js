'use strict';
// A soak: as many clients over all transports as descriptors allow, a steady rate of deliveries, kills and stops of the
// server, and connections that are cut at random. Says each few seconds how it goes, then what the checker finds.
// Ends with 0 if nothing was lost and all came back in time.

const { fork } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { setTimeout: pause } = require('node:timers/promises');
const { freePort } = require('../../ports');
const { start } = require('../../server');
const { until } = require('../../waiting');
const { check } = require('../checker');
const { History, now } = require('../history');
const { randomOf } = require('../random');
const { Lines, readInto } = require('./lines');
const { optionsOf } = require('./options');
const { Pushing } = require('./pushing');
const { summarize } = require('./summary');

const PROGRESS_EVERY_MS = 5000;
const CALM_MS = 5000;
const BACK_MS_MAX = 60_000;
/** So many of the kills come at once after a start. */
const TWICE_SHARE = 0.15;

class Soak {
  constructor(options) {
    this.options = options;
    this.random = randomOf(options.seed);
    this.cleanups = [];
    this.directory = options.keep || fs.mkdtempSync(path.join(os.tmpdir(), 'turted-soak-'));
    fs.mkdirSync(this.directory, { recursive: true });
    this.journal = new Lines(this.file('server'));
    this.reports = [];
    this.done = { kills: 0, stops: 0 };
    this.isUnreached = false;
    this.began = Date.now();
  }

  /** As much of a test as `afterwards` needs. */
  after(action) {
    this.cleanups.push(action);
  }

  file(name) {
    return path.join(this.directory, `${name}.jsonl`);
  }

  record(what) {
    this.journal.add({ at: now(), who: 'server', do: what });
  }

  say(text) {
    console.log(`${String(Math.round((Date.now() - this.began) / 1000)).padStart(5)} s  ${text}`);
  }

  async open() {
    const { store, sync, rate, connections } = this.options;
    const log = store === 'disk' ? { log: { store, sync, directory: path.join(this.directory, 'log') } } : {};
    const config = { sse: { query_credentials: true, retry: '500ms' }, ...log };
    this.server = await start(this, config, {}, await freePort((limit) => this.random.below(limit)));
    this.record('listening');
    this.crowds = Array.from({ length: this.options.processes }, (_, index) => this.crowd(index));
    this.backends = new Lines(this.file('backends'));
    this.pushing = new Pushing(this.backends, this.server.url, { rate, count: connections, random: this.random, keys: store === 'disk' });
    await this.allThere('connected');
    await this.reachAll();
  }

  crowd(index) {
    const { connections, processes, real, cutEverySeconds, store } = this.options;
    const share = (part) => Math.floor((connections * part) / processes);
    const child = fork(path.join(__dirname, 'crowd.js'), { execArgv: ['--max-old-space-size=4096'] });
    child.on('message', (report) => {
      if (report.error) this.say(`a client failed: ${report.error}`);
      else this.reports[index] = report;
    });
    this.after(() => child.kill('SIGKILL'));
    child.send({
      do: 'open',
      file: this.file(`crowd-${index}`),
      from: share(index),
      to: share(index + 1),
      count: connections,
      real: Math.min(real, share(1)),
      port: this.server.port,
      cutEverySeconds,
      keeps: store === 'disk',
    });
    return child;
  }

  sum(key) {
    return this.reports.reduce((sum, report) => sum + (report?.[key] ?? 0), 0);
  }

  allThere(what) {
    const { connections } = this.options;
    const late = () => this.reports.flatMap((report) => report?.late ?? []).join(', ');
    const isSo = () => this.sum('clients') === connections && this.sum(what) === connections;
    return until(isSo, () => `${connections} clients, of which ${this.sum(what)} are ${what}; not ${late()}`, BACK_MS_MAX);
  }

  async reachAll() {
    const n = await this.pushing.mark();
    await until(() => this.reports.every(({ mark }) => mark === n), 'a mark', BACK_MS_MAX);
    await this.allThere('marked');
  }

  progress() {
    const events = this.sum('events');
    const rate = Math.round(((events - (this.events ?? events)) * 1000) / PROGRESS_EVERY_MS);
    this.events = events;
    const ends = ['kills', 'stops'].map((end) => `${this.done[end]} of ${this.options[end]} ${end}`);
    this.say(`${this.sum('connected')} connected, ${rate} deliveries/s, ${this.pushing.pushes} pushes, ${ends.join(', ')}`);
  }

  async kill() {
    await this.server.kill();
    this.record('killed');
    await this.server.run();
    this.record('listening');
    this.done.kills++;
  }

  /** The server does nothing for a while, as in a machine that is suspended. */
  async pause(seconds) {
    process.kill(this.server.child.pid, 'SIGSTOP');
    this.record('paused');
    await pause(seconds * 1000);
    process.kill(this.server.child.pid, 'SIGCONT');
    this.record('continued');
    this.done.stops++;
  }

  /** Kills and stops, mixed and spread over the time. */
  plan() {
    const { kills, stops, stopLeast, stopMost } = this.options;
    const list = [
      ...Array.from({ length: kills }, () => ({ seconds: 0 })),
      ...Array.from({ length: stops }, (_, index) => ({ seconds: stopLeast + ((stopMost - stopLeast) * index) / Math.max(1, stops - 1) })),
    ];
    for (let index = list.length - 1; index > 0; index--) {
      const other = this.random.below(index + 1);
      [list[index], list[other]] = [list[other], list[index]];
    }
    return list;
  }

  async disturb() {
    const list = this.plan();
    const stopped = list.reduce((sum, { seconds }) => sum + seconds, 0);
    const between = ((this.options.seconds - stopped) * 1000) / (list.length + 1);
    for (const { seconds } of list) {
      const isAtOnce = seconds === 0 && this.done.kills > 0 && this.random.chance(TWICE_SHARE);
      if (!isAtOnce) await pause(between);
      if (seconds > 0) await this.pause(seconds);
      else await this.kill();
    }
    await pause(between);
  }

  async run() {
    await this.open();
    this.say(`${this.options.connections} clients are there`);
    this.began = Date.now();
    this.tell('begin');
    const timer = setInterval(() => this.progress(), PROGRESS_EVERY_MS);
    const pushing = this.pushing.run();
    await this.disturb();
    this.tell('calm');
    await pause(CALM_MS);
    await this.pushing.stop();
    await pushing;
    try {
      await this.allThere('connected');
      await this.reachAll();
    } catch (error) {
      this.say(error.message);
      this.isUnreached = true;
    }
    clearInterval(timer);
  }

  tell(what) {
    for (const child of this.crowds) child.send({ do: what });
  }

  /** Ends the clients first, so that they see no end of the server. */
  async close() {
    this.tell('close');
    await Promise.all(this.crowds.map((child) => once(child, 'exit')));
    this.pushing.close();
    this.backends.close();
    this.journal.close();
    for (const action of this.cleanups.reverse()) await action();
  }

  async judge() {
    this.say('checking');
    const history = new History();
    for (const name of ['server', 'backends', ...this.crowds.map((_, index) => `crowd-${index}`)]) await readInto(history, this.file(name));
    const { findings, figures, comebacks } = check(history, this.options.store);
    const isGood = summarize(findings, figures, comebacks) && !this.isUnreached;
    if (!this.options.keep && isGood) fs.rmSync(this.directory, { recursive: true, force: true });
    else console.log(`journals: ${this.directory}`);
    return isGood;
  }
}

async function main() {
  const soak = new Soak(optionsOf(process.argv.slice(2)));
  let isGood = false;
  try {
    await soak.run();
    await soak.close();
    isGood = await soak.judge();
  } catch (error) {
    console.log(error.stack);
  }
  console.log(isGood ? 'nothing is lost' : 'failed');
  process.exit(isGood ? 0 : 1);
}

main();
