'use strict';
// Builds dist/ from src/: `node build.js [directory]`. The same sources make the same bytes on every machine.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { buildSync } = require('esbuild');

const OUT = path.resolve(process.argv[2] ?? path.join(__dirname, 'dist'));
const { version } = require('./package.json');
const BANNER = `/*! turted ${version}, ISC */`;
// What the library needs besides, streams of text say, is in Chrome 90, Firefox 105, Safari 15 and node 20.
const TARGET = 'es2022';
// Names of the library itself, which no page and no server sees.
const OWN = /^_/;

function bundle(file, options) {
  buildSync({
    absWorkingDir: __dirname,
    entryPoints: ['src/index.ts'],
    outfile: path.join(OUT, file),
    bundle: true,
    minify: true,
    charset: 'utf8',
    target: TARGET,
    mangleProps: OWN,
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
    banner: { js: BANNER },
    logLevel: 'warning',
    ...options,
  });
}

/** The declarations of the public files, one after the other, as one module. */
function declarations() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-types-'));
  try {
    const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc');
    execFileSync(process.execPath, [tsc, '-p', __dirname, '--emitDeclarationOnly', '--outDir', directory]);
    const read = (name) => fs.readFileSync(path.join(directory, `${name}.d.ts`), 'utf8');
    const text = ['errors', 'types', 'client'].map(read).join('\n');
    // What one file takes from another is in the same file here.
    return text.replace(/^(import|export \{\}).*\n/gm, '').replace(/\bT\.(?=[A-Z])/g, '').replace(/^\/\/.*\n+/gm, '');
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

fs.mkdirSync(OUT, { recursive: true });
// A variable of a script is no global when a module imports the script for its effect.
bundle('turted.js', { entryPoints: ['src/script.ts'], format: 'iife' });
bundle('turted.mjs', { format: 'esm' });
bundle('turted.cjs', { format: 'cjs', platform: 'node' });
const types = `${BANNER}\n${declarations()}`;
for (const file of ['turted.d.ts', 'turted.d.cts']) fs.writeFileSync(path.join(OUT, file), types);
