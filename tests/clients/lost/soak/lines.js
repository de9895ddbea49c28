'use strict';
// A journal in a file, a line for each record: processes write theirs, and the checker reads them all.

const fs = require('node:fs');
const readline = require('node:readline');

const LINES_MAX = 2000;
const WRITE_EVERY_MS = 200;

class Lines {
  constructor(file) {
    this.descriptor = fs.openSync(file, 'w');
    this.lines = [];
    this.timer = setInterval(() => this.write(), WRITE_EVERY_MS);
  }

  add(record) {
    this.lines.push(JSON.stringify(record));
    if (this.lines.length >= LINES_MAX) this.write();
  }

  write() {
    if (this.lines.length === 0) return;
    fs.writeSync(this.descriptor, `${this.lines.join('\n')}\n`);
    this.lines = [];
  }

  close() {
    clearInterval(this.timer);
    this.write();
    fs.closeSync(this.descriptor);
  }
}

/** Adds all records of a file to a history. */
async function readInto(history, file) {
  for await (const line of readline.createInterface({ input: fs.createReadStream(file) })) history.add(JSON.parse(line));
}

module.exports = { Lines, readInto };
