'use strict';
// The examples that push do what they promise.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { promisify } = require('node:util');
const { start } = require('./server');

const LIMITS = { timeout: 30_000 };
const EXAMPLES = path.resolve(__dirname, '../../examples');
const PASSWORD = 's3cret';
const BY_PASSWORD = { push: { method: 'password', password: PASSWORD } };

const run = promisify(execFile);

/** Listens as adam in the channel chat. Returns a function that resolves with the texts received so far. */
async function listen(t, server) {
  const end = new AbortController();
  t.after(() => end.abort());
  const stream = await fetch(`${server.url}/sse?channel=chat`, {
    headers: { authorization: `Basic ${btoa('adam:')}` },
    signal: end.signal,
  });
  return async () => {
    await server.emit('END', { broadcast: true });
    let heard = '';
    for await (const text of stream.body.pipeThrough(new TextDecoderStream())) {
      heard += text;
      if (/^event: END\ndata: .*\n\n/m.test(heard)) break;
    }
    return [...heard.matchAll(/^event: MESSAGE:NEW\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data).text);
  };
}

describe('an example', { concurrency: true }, () => {
  test('in PHP pushes in both forms', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const heard = await listen(t, server);
    const { stdout } = await run('php', [path.join(EXAMPLES, 'push.php'), `${server.url}/push/`, PASSWORD]);
    assert.equal(stdout, 'OK\nOK\n');
    assert.deepEqual(await heard(), ['hello adam', 'hello chat']);
  });

  test('with curl pushes everything that a push can be', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const heard = await listen(t, server);
    const env = { ...process.env, TURTED_PUSH_PASSWORD: PASSWORD };
    const { stdout } = await run('sh', [path.join(EXAMPLES, 'push.sh'), `${server.url}/push/`], { env });
    const [counted, batch, first, again] = stdout.trim().split('\n').slice(4).map((line) => JSON.parse(line));
    assert.deepEqual([counted.delivered, batch.length, first], [1, 2, again]);
    const texts = ['to adam', 'to chat', 'to all', 'once', 'counted', 'first', 'second', 'only once'];
    assert.deepEqual(await heard(), texts);
  });

  test('with curl pushes without a password where none is needed', LIMITS, async (t) => {
    const server = await start(t);
    const heard = await listen(t, server);
    for (const password of [undefined, '']) {
      const env = { ...process.env, TURTED_PUSH_PASSWORD: password };
      await run('sh', [path.join(EXAMPLES, 'push.sh'), `${server.url}/push/`], { env });
    }
    assert.equal((await heard()).length, 16);
  });

  test('with curl guesses no password that it was not given', LIMITS, async (t) => {
    const server = await start(t, { ...BY_PASSWORD, limits: { wrong_passwords: 1 } });
    const args = [path.join(EXAMPLES, 'push.sh'), `${server.url}/push/`];
    for (const password of [undefined, '', undefined]) {
      const env = { ...process.env, TURTED_PUSH_PASSWORD: password };
      await assert.rejects(run('sh', args, { env }), ({ stdout }) => stdout.includes('Wrong auth data'));
    }
    await run('sh', args, { env: { ...process.env, TURTED_PUSH_PASSWORD: PASSWORD } });
  });
});
