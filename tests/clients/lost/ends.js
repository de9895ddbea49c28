'use strict';
// What ends connections or the server: each takes a run and has everything running again when it resolves.

/** A network that was away for a moment. */
async function drop(run) {
  run.relay.drop();
  for (let pushes = 0; pushes < 10; pushes++) await run.push();
  run.relay.restore();
}

async function drain(run) {
  await run.server.stop(35_000);
  run.record('stopped');
  await started(run);
}

async function kill(run) {
  await run.server.kill();
  run.record('killed');
  await started(run);
}

async function killTwice(run) {
  await kill(run);
  await kill(run);
}

/** The server has one worker more than before, or one less. */
async function otherWorkers(run) {
  const workers = Number(run.server.env.TURTED_WORKERS || 2);
  run.server.env.TURTED_WORKERS = String(workers === 2 ? 3 : 2);
  await kill(run);
}

async function started(run) {
  await run.server.run();
  run.record('listening');
}

/** `[title, end, options of disturb, whether the server starts anew]` */
const ENDS = [
  { title: 'a network that drops all connections', end: drop },
  { title: 'a drain and a start', end: drain, restarts: true },
  { title: 'kill -9 and a start', end: kill, restarts: true },
  { title: 'kill -9 of a server that was pushed nothing since its start', end: kill, restarts: true, isQuiet: true },
  { title: 'two kills within a second', end: killTwice, restarts: true },
  { title: 'kill -9 and a start with another number of workers', end: otherWorkers, restarts: true },
];

module.exports = { ENDS };
