'use strict';
// What a soak is asked for: the full one takes 10 minutes, `--short` 60 s.

const os = require('node:os');
const { parseArgs } = require('node:util');

const FULL = { seconds: 600, connections: 10_000, rate: 5000, kills: 20, stops: 5, 'stop-seconds': '10-40' };
const SHORT = { seconds: 60, connections: 1000, rate: 2000, kills: 2, stops: 1, 'stop-seconds': '3-3' };
const DEFAULTS = { 'cut-every': 120, real: 24, store: 'disk', sync: 'interval', seed: 1, processes: Math.max(2, os.cpus().length) };
const HELP = `usage: just soak [--short] [--seconds N] [--connections N] [--rate N] [--kills N] [--stops N]
  [--stop-seconds MIN-MAX] [--cut-every SECONDS] [--real N] [--store memory|disk] [--sync always|interval|never]
  [--processes N] [--seed N] [--keep DIRECTORY]

rate: deliveries a second. cut-every: each connection is cut once in so many seconds. real: real libraries in each
process. keep: where the journals stay.`;

function optionsOf(args) {
  const text = { type: 'string' };
  const names = [...Object.keys(FULL), 'cut-every', 'real', 'store', 'sync', 'processes', 'seed', 'keep'];
  const options = Object.fromEntries(names.map((name) => [name, text]));
  const { values } = parseArgs({ args, options: { ...options, short: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  const given = { ...(values.short ? SHORT : FULL), ...DEFAULTS, ...values };
  const number = (name) => Number(given[name]);
  const [stopLeast, stopMost] = given['stop-seconds'].split('-').map(Number);
  return {
    seconds: number('seconds'),
    connections: number('connections'),
    rate: number('rate'),
    kills: number('kills'),
    stops: number('stops'),
    stopLeast,
    stopMost,
    cutEverySeconds: number('cut-every'),
    real: number('real'),
    store: given.store,
    sync: given.sync,
    processes: number('processes'),
    seed: number('seed'),
    keep: given.keep,
  };
}

module.exports = { optionsOf };
