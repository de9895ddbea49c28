'use strict';
// The OpenAPI document is valid, has every field of the answers, and describes what the server does: Schemathesis makes
// requests from it, right and wrong ones, and finds no answer that it does not have.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { promisify } = require('node:util');
const WebSocket = require('ws');
const { request } = require('./http');
const { BINARY, start } = require('./server');
const { CELLS, open } = require('./tab');
const { next, until } = require('./waiting');

const PYTHON = path.resolve(__dirname, process.env.CLIENTS_PYTHON || '../../target/python/bin/python');
// Requests for each operation, beside those that its limits suggest. `just openapi` makes more, each time others.
const EXAMPLES = process.env.OPENAPI_EXAMPLES || '15';
const SEED = process.env.OPENAPI_SEED || '17';
const LIMITS = { timeout: process.env.OPENAPI_EXAMPLES ? 3_600_000 : 120_000 };
// Long enough to be no guess, so that wrong ones do not shut out the right one.
const PASSWORD = 'a-password-of-22-characters-or-more';
const TOKEN = 'a-token-of-22-characters-or-more-';

const run = promisify(execFile);

/** A server with its admin listener. */
async function serve(t, config = {}, env = {}) {
  const server = await start(t, config, { TURTED_ADMIN_LISTEN: '127.0.0.1:0', ...env });
  [, server.admin] = /admin on (http:\/\/[^\s]+)/.exec(server.output);
  return server;
}

/** The document of a server as a file. */
async function save(server, headers = {}) {
  const { status, body } = await request(`${server.admin}/openapi.json`, { headers });
  assert.equal(status, 200);
  const file = path.join(server.directory, 'openapi.json');
  fs.writeFileSync(file, body);
  return file;
}

/** Lets Schemathesis make requests. It fails with what it found. */
async function explore(file, url, ...args) {
  const all = [
    ...['-m', 'schemathesis.cli', '--config-file', path.join(__dirname, 'openapi', 'schemathesis.toml')],
    ...['run', file, '--url', url, '--seed', SEED, '--max-examples', EXAMPLES, '--phases', 'examples,coverage,fuzzing'],
    ...['--generation-database', 'none', '--warnings', 'off', '--no-color', '--continue-on-failure', ...args],
  ];
  const { stdout } = await run(PYTHON, all, { maxBuffer: 1 << 26, cwd: path.dirname(file) }).catch((error) => {
    throw new Error(`${error.stdout}${error.stderr}`);
  });
  const [, cases] = /(\d+) generated, \d+ passed/.exec(stdout) ?? assert.fail(stdout);
  assert.ok(Number(cases) > 10, stdout);
}

/** Checks that a value has each field that its schema requires, and no field that the schema does not have. */
function compare(document, schema, value, where) {
  const resolve = (one) => (one?.$ref ? document.components.schemas[one.$ref.split('/').at(-1)] : one);
  const own = resolve(schema);
  const parts = [own, ...(own.allOf ?? []).map(resolve)];
  if (Array.isArray(value)) {
    assert.ok(value.length > 0, `${where} is empty, so nothing is shown`);
    value.forEach((item, index) => compare(document, own.items, item, `${where}/${index}`));
  } else if (value !== null && typeof value === 'object') {
    const properties = Object.assign({}, ...parts.map((part) => part.properties));
    for (const key of parts.flatMap((part) => part.required ?? [])) assert.ok(key in value, `${where}/${key} is missing`);
    for (const [key, field] of Object.entries(value)) {
      const known = properties[key] ?? own.additionalProperties;
      assert.ok(known, `${where}/${key} is not in the document`);
      compare(document, known, field, `${where}/${key}`);
    }
  }
}

describe('the OpenAPI document', { concurrency: true }, () => {
  before(() => assert.ok(fs.existsSync(PYTHON), `${PYTHON} is missing; see tests/clients/README.md`));

  test('is valid, and the same on the command line', LIMITS, async (t) => {
    const server = await serve(t);
    const file = await save(server);
    await run(PYTHON, ['-m', 'openapi_spec_validator', '--schema', '3.1', file]);
    const addresses = { TURTED_LISTEN: new URL(server.url).host, TURTED_ADMIN_LISTEN: new URL(server.admin).host };
    const args = ['openapi', '--config', server.configFile];
    const { stdout } = await run(BINARY, args, { env: { ...process.env, ...addresses }, maxBuffer: 1 << 20 });
    assert.equal(stdout, fs.readFileSync(file, 'utf8'));
  });

  test('is for operators, and has no secret', LIMITS, async (t) => {
    const server = await serve(t, { push: { method: 'password', password: PASSWORD } }, { TURTED_ADMIN_TOKEN: TOKEN });
    assert.equal((await request(`${server.admin}/openapi.json`)).status, 401);
    const text = fs.readFileSync(await save(server, { Authorization: `Bearer ${TOKEN}` }), 'utf8');
    assert.ok(!text.includes(PASSWORD) && !text.includes(TOKEN));
  });

  test('has the fields of each answer and no other', LIMITS, async (t) => {
    const lines = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'turted-openapi-')), 'lines');
    t.after(() => fs.rmSync(path.dirname(lines), { recursive: true, force: true }));
    fs.writeFileSync(lines, '');
    const source = { name: 'lines', type: 'tail', paths: [lines], state_dir: path.dirname(lines) };
    const channels = [{ name: 'chat', join: 'open', history: 1 }];
    const server = await serve(t, { sources: [source], channels }, { TURTED_ADMIN_WRITE_TOKEN: TOKEN });
    const tab = open(t, CELLS[11], server.url);
    await tab.ident('adam');
    await tab.join('chat');
    const ask = async (target, method = 'GET', body = undefined) =>
      JSON.parse((await request(server.admin + target, { method, body, headers: { Authorization: `Bearer ${TOKEN}` } })).body);
    // A session that is away.
    const gone = new WebSocket(`${server.url.replace('http', 'ws')}/ws`);
    await next(gone, 'message');
    for (const asked of [{ do: 'ident', data: { username: 'adam' } }, { do: 'join', channel: 'chat' }]) {
      gone.send(JSON.stringify({ id: 1, ...asked }));
      await next(gone, 'message');
    }
    gone.terminate();
    await until(async () => (await ask('/api/v1/channels/chat')).connections === 1);
    const headers = { Accept: 'application/json' };
    const targets = { users: 'adam', channels: 'chat' };
    const pushed = JSON.parse((await server.push({ event: 'E', targets }, headers)).body);
    const document = JSON.parse(fs.readFileSync(await save(server, { Authorization: `Bearer ${TOKEN}` }), 'utf8'));
    const [id] = (await ask('/api/v1/users/adam')).connection_ids;
    // All but the live view, which is an event stream.
    const isAsked = (one) => one.startsWith('/api/') && one !== '/api/v1/events' && document.paths[one].get !== undefined;
    const paths = Object.keys(document.paths).filter(isAsked);
    for (const template of paths) {
      const names = template.replace('users/{name}', 'users/adam').replace('{name}', 'chat');
      const target = names.replace('{id}', id).replace('{position}', pushed.id);
      const { schema } = document.paths[template].get.responses[200].content['application/json'];
      compare(document, schema, await ask(target), target);
    }
    for (const [template, method, body] of [
      ['/api/v1/channels/{name}/remove', 'post', '{"user":"adam"}'],
      ['/api/v1/channels/{name}/history', 'delete'],
      ['/api/v1/users/{name}/disconnect', 'post'],
    ]) {
      const { schema } = document.paths[template][method].responses[200].content['application/json'];
      compare(document, schema, await ask(template.replace('{name}', 'chat'), method.toUpperCase(), body), template);
    }
    const push = { event: 'E', targets: { users: 'adam' } };
    const accepted = JSON.parse((await server.push(push, headers)).body);
    compare(document, { $ref: '#/components/schemas/Accepted' }, accepted, 'accepted');
    const wrong = JSON.parse((await server.push([push, { ...push, targets: { users: [''] } }], headers)).body);
    assert.deepEqual([wrong.field, wrong.index], ['/targets/users/0', 1]);
    compare(document, { $ref: '#/components/schemas/Problem' }, wrong, 'refused');
    compare(document, { $ref: '#/components/schemas/AdminProblem' }, await ask('/api/v1/counts?x'), 'not understood');
    assert.equal(paths.length, 12);
  });
});

describe('Schemathesis finds no answer that is not in the document', () => {
  test('of the admin listener, with a token and without one', LIMITS, async (t) => {
    // Requests without a token are sent too, more often than one may guess by default.
    const server = await serve(t, { limits: { wrong_passwords: 1000 } }, { TURTED_ADMIN_WRITE_TOKEN: TOKEN });
    const tab = open(t, CELLS[11], server.url);
    await tab.ident('adam');
    await tab.join('chat');
    const right = `Authorization: Bearer ${TOKEN}`;
    const file = await save(server, { Authorization: `Bearer ${TOKEN}` });
    // The live view does not end.
    const some = ['--exclude-tag', 'push', '--exclude-path', '/api/v1/events'];
    await explore(file, server.admin, ...some, '-H', right);
    await explore(file, server.admin, ...some, '-H', 'Authorization: Bearer guess', '--phases', 'fuzzing');
  });

  test('of a push, as JSON and as text, with the password and with a wrong one', LIMITS, async (t) => {
    const server = await serve(t, { push: { method: 'password', password: PASSWORD } });
    const file = await save(server);
    const as = (password) => ['--include-tag', 'push', '-H', `Authorization: Bearer ${password}`];
    await explore(file, server.url, ...as(PASSWORD), '-H', 'Accept: application/json');
    // `OK` and the texts of the node server come without a content type.
    const some = ['--checks', 'not_a_server_error,status_code_conformance', '--phases', 'examples,fuzzing'];
    await explore(file, server.url, ...as(PASSWORD), ...some);
    await explore(file, server.url, ...as('guess'), '-H', 'Accept: application/json', '--phases', 'examples,fuzzing');
    assert.equal((await request(`${server.url}/health`)).status, 200);
  });
});
