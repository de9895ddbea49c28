'use strict';
// Puts the two scripts that the page loads into one directory, for turted's assets_dir.

const fs = require('node:fs');
const path = require('node:path');

const assets = path.join(__dirname, 'assets');
const modules = path.join(__dirname, 'node_modules');
fs.mkdirSync(assets, { recursive: true });
for (const file of ['socket.io-client/dist/socket.io.js', 'turted-client/TURTED.js']) {
  fs.copyFileSync(path.join(modules, file), path.join(assets, path.basename(file)));
}
