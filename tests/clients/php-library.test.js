'use strict';
// The client library for PHP, by its own tests: with the extension curl, and without.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { BINARY } = require('./server');

const LIMITS = { timeout: 120_000 };
const LIBRARY = path.resolve(__dirname, '../../clients/php');
const INSTALL = 'apt-get install --no-install-recommends php-cli php-curl phpunit';

/** What a command prints. Fails with that if the command does. */
function run(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd: LIBRARY, env: { ...process.env, ...env } }, (error, output, warnings) => {
      if (error?.code === 'ENOENT') reject(new Error(`${command} is not on the PATH; install it with: ${INSTALL}`));
      else if (error) reject(new Error(`${command} ${args.join(' ')}:\n${output.slice(-5000)}${warnings}`));
      else resolve(output);
    });
  });
}

/** A directory with the settings of this PHP, but for those that load the extension. */
async function settingsWithout(t, extension) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-php-ini-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const files = await run('php', ['-n', '-r', 'echo PHP_CONFIG_FILE_SCAN_DIR;']);
  for (const file of fs.readdirSync(files)) {
    if (!file.includes(extension)) fs.symlinkSync(path.join(files, file), path.join(directory, file));
  }
  return directory;
}

/** Runs the tests of the library: `curl` is whether they have to find the extension. */
async function phpunit(curl, env = {}) {
  const output = await run('phpunit', ['--colors=never'], { TURTED_BIN: BINARY, TURTED_TEST_CURL: curl, ...env });
  assert.match(output, /^OK\b/m);
}

describe('the client library for PHP', { concurrency: true }, () => {
  test('passes its tests with the extension curl', LIMITS, () => phpunit('1'));

  test('passes its tests without the extension curl', LIMITS, async (t) => {
    await phpunit('0', { PHP_INI_SCAN_DIR: await settingsWithout(t, 'curl') });
  });

  test('and all PHP of this repository is right to the compiler', LIMITS, async () => {
    const directories = [LIBRARY, path.join(__dirname, 'php'), path.resolve(__dirname, '../../examples')];
    const files = directories.flatMap((directory) =>
      fs.readdirSync(directory, { recursive: true }).map((file) => path.join(directory, file)),
    );
    const programs = files.filter((file) => file.endsWith('.php'));
    assert.ok(programs.length > 30);
    for (const program of programs) await run('php', ['-n', '-l', program]);
  });
});
