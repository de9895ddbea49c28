'use strict';
// A directory of its own for a test.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { afterwards } = require('../afterwards');

function temporary(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-lost-'));
  afterwards(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

module.exports = { temporary };
