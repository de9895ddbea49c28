'use strict';
// The package: what is committed is what the sources make, it is small, its types hold, and it is published whole.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { gzipSync } = require('node:zlib');
const { afterwards } = require('../afterwards');
const { DIST } = require('./open');

const PACKAGE = path.dirname(DIST);
const ROOT = path.resolve(PACKAGE, '../..');
const BYTES_MAX = 6000;

const read = (...parts) => fs.readFileSync(path.join(...parts));
const manifest = () => JSON.parse(read(PACKAGE, 'package.json'));

test('the committed files are those that the sources make', (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-build-'));
  afterwards(t, () => fs.rmSync(directory, { recursive: true }));
  execFileSync(process.execPath, [path.join(PACKAGE, 'build.js'), directory]);
  const files = fs.readdirSync(directory).sort();
  assert.deepEqual(files, fs.readdirSync(DIST).sort());
  for (const file of files) {
    assert.ok(read(directory, file).equals(read(DIST, file)), `${file} is old: npm --prefix clients/js run build`);
  }
});

test(`the script has at most ${BYTES_MAX} bytes, compressed`, (t) => {
  const bytes = gzipSync(read(DIST, 'turted.js'), { level: 9 }).length;
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= BYTES_MAX, `${bytes} bytes`);
});

test('the types accept what they should and refuse the rest', () => {
  const tsc = path.join(PACKAGE, 'node_modules/typescript/bin/tsc');
  for (const project of ['.', 'types']) {
    execFileSync(process.execPath, [tsc, '--noEmit', '-p', path.join(PACKAGE, project)], { stdio: 'inherit' });
  }
});

test('the package has the version of the server, and needs nothing', () => {
  const { version, dependencies, peerDependencies, private: isPrivate, devDependencies } = manifest();
  assert.equal(version, /^version = "(.*)"$/m.exec(read(ROOT, 'Cargo.toml'))[1]);
  assert.equal(version, JSON.parse(read(PACKAGE, 'package-lock.json')).version);
  assert.deepEqual([dependencies, peerDependencies, isPrivate], [undefined, undefined, undefined]);
  for (const wanted of Object.values(devDependencies)) assert.match(wanted, /^\d+\.\d+\.\d+$/);
});

test('the package is published with each file that it names, and with no other', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: PACKAGE, stdio: ['ignore', 'pipe', 'ignore'] }));
  const names = files.map((file) => file.path).sort();
  assert.deepEqual(names, ['LICENSE', 'README.md', 'package.json', ...fs.readdirSync(DIST).map((file) => `dist/${file}`)].sort());
  const named = JSON.stringify(manifest()).match(/\.\/dist\/[a-z.]+/g);
  for (const name of named) assert.ok(names.includes(name.slice(2)), name);
});

test('the package is a module and a CommonJS module', async () => {
  const module = await import(path.join(DIST, 'turted.mjs'));
  assert.deepEqual(Object.keys(module).sort(), ['TURTED', 'TurtedError']);
  assert.deepEqual(Object.keys(require(path.join(DIST, 'turted.cjs'))).sort(), ['TURTED', 'TurtedError']);
});
