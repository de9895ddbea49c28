'use strict';
// The processes in which a Chromium runs its pages, to stop and continue them as an operating system does.

const fs = require('node:fs');

const read = (pid, file) => {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    // It has ended meanwhile.
    return '';
  }
};

/** What stands behind the name of a program in /proc/PID/stat: its state, its parent, and more. */
const status = (pid) => read(pid, 'stat').split(') ').pop().split(' ');

const isOf = (pid, directory) =>
  pid > 1 && (read(pid, 'cmdline').includes(`--user-data-dir=${directory}`) || isOf(Number(status(pid)[1]), directory));

/** The renderers of the Chromium with this directory. */
function renderers(directory) {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => read(pid, 'cmdline').includes('--type=renderer') && isOf(pid, directory));
}

const isStopped = (pid) => status(pid)[0] === 'T';

module.exports = { renderers, isStopped };
