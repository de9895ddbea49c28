'use strict';
// The programs of docs/backends.md are cut out of it and run: they push once under their key, print why they are refused,
// give up on a server that does not answer, and make tokens that the server takes.

const assert = require('node:assert/strict');
const { execFile, execFileSync, spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { afterwards } = require('./afterwards');
const { freePort } = require('./ports');
const { BINARY, start } = require('./server');
const { CELLS, open } = require('./tab');
const { until } = require('./waiting');

const LIMITS = { timeout: 300_000 };
const PAGE = fs.readFileSync(path.resolve(__dirname, '../../docs/backends.md'), 'utf8');
const LINES_MAX = 20;
const PASSWORD = 's3cret-of-the-backend';
const BY_PASSWORD = { push: { method: 'password', password: PASSWORD } };
const PREFIX = 'a prefix that is no guess';
const KEY = 'a shared secret of 32 bytes or more';
/** The tokens of adam that a program makes which does not see that its prefix is missing. */
const OF_NO_PREFIX = new RegExp(['adam', 'undefinedadam', 'nulladam'].map((text) => createHash('sha256').update(text).digest('hex')).join('|'));

/** The blocks of code in a section of the page. */
function blocks(heading) {
  const section = PAGE.split(/^## /m).find((one) => one.startsWith(`${heading}\n`));
  return [...section.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, code]) => code);
}

/** How a language is built and started. `files`: of the push and of the token. */
const LANGUAGES = [
  { heading: 'Node', files: ['push.js', 'token.js'], needs: ['node'], start: (file) => ['node', file] },
  { heading: 'PHP', files: ['push.php', 'token.php'], needs: ['php'], start: (file) => ['php', file] },
  { heading: 'Python', files: ['push.py', 'token.py'], needs: ['python3'], start: (file) => ['python3', file] },
  { heading: 'Shell', files: ['push.sh', 'token.sh'], needs: ['curl'], start: (file) => ['sh', file] },
  { heading: 'Ruby', files: ['push.rb', 'token.rb'], needs: ['ruby'], start: (file) => ['ruby', file], spare: true },
  {
    heading: 'Go',
    files: ['push.go', 'token.go'],
    needs: ['go'],
    build: (file) => ['go', 'build', '-o', `${file}.out`, file],
    start: (file) => [`${file}.out`],
    spare: true,
  },
  {
    heading: 'Java',
    files: ['Push.java', 'Token.java'],
    needs: ['java', 'javac'],
    build: (file) => ['javac', '-d', path.dirname(file), file],
    start: (file) => ['java', '-cp', path.dirname(file), path.basename(file, '.java')],
    spare: true,
  },
  {
    heading: 'C#',
    files: ['Push.cs', 'Token.cs'],
    needs: ['mcs', 'mono'],
    build: (file) => ['mcs', '-langversion:7.2', '-r:System.Net.Http.dll', '-r:System.Web.dll', `-out:${file}.exe`, file],
    start: (file) => ['mono', `${file}.exe`],
    spare: true,
  },
];

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-backends-'));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

/** The environment without what is set for turted, and with `turted` on the path. */
function environment(own) {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('TURTED_'));
  const PATH = `${path.dirname(BINARY)}:${process.env.PATH}`;
  return { ...Object.fromEntries(others), PATH, CGO_ENABLED: '0', GO111MODULE: 'off', ...own };
}

/** Runs a program. `{ code, stdout, stderr }` */
function run([command, ...args], own = {}) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { env: environment(own), cwd: directory }, (error, stdout, stderr) => {
      if (typeof error?.code === 'string') reject(error);
      else resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

function isThere(command) {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`]);
    return true;
  } catch {
    return false;
  }
}

/** A server that accepts connections and says nothing. Returns its port. */
async function silent(t) {
  const sockets = new Set();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => {})));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(t, () => (sockets.forEach((socket) => socket.destroy()), server.close()));
  return server.address().port;
}

/** A page of adam, and a function that tells the orders it has heard of. */
async function page(t, server, user = 'adam') {
  const tab = open(t, CELLS[11], server.url);
  await tab.ident(user);
  return async () => {
    await server.emit('END', { broadcast: true });
    await tab.event('END');
    return tab.events.filter(({ event }) => event === 'ORDER:PAID').map(({ payload }) => payload.order);
  };
}

/** The lines of a program that are no blank line, no import and no name of a package. */
function lines(code) {
  const listed = code.replace(/^import \((.*?)^\)\n/ms, '');
  const isOwn = (line) => line.trim() !== '' && !/^(import |package |using |require |#!|<\?php)/.test(line);
  return listed.split('\n').filter(isOwn).length;
}

/** The tests of one language. */
function check(language) {
  const { heading, needs, spare } = language;
  const missing = needs.filter((command) => !isThere(command));
  const skip = spare && missing.length > 0 && `${missing.join(', ')} not on the PATH`;
  describe(`in ${heading}`, { concurrency: true, skip }, () => {
    const [push, token] = language.files.map((file) => path.join(directory, file));
    const pushed = (url, order, password) =>
      run([...language.start(push), String(order)], { TURTED_URL: url, TURTED_PUSH_PASSWORD: password });

    before(async () => {
      assert.deepEqual(missing, [], `${missing} not on the PATH; see tests/clients/README.md`);
      const code = blocks(heading);
      assert.equal(code.length, 2);
      for (const [index, file] of [push, token].entries()) {
        fs.writeFileSync(file, code[index]);
        if (!language.build) continue;
        const built = await run(language.build(file));
        assert.equal(built.code, 0, built.stdout + built.stderr);
      }
    }, LIMITS);

    test('is short', () => {
      for (const code of blocks(heading)) assert.ok(lines(code) <= LINES_MAX, `${lines(code)} lines:\n${code}`);
    });

    test('pushes, and a repeated push is delivered once', LIMITS, async (t) => {
      const server = await start(t, BY_PASSWORD);
      const heard = await page(t, server);
      const answers = [];
      for (const order of [17, 17, 18]) answers.push(await pushed(`${server.url}/push/`, order, PASSWORD));
      assert.deepEqual(answers.map(({ code }) => code), [0, 0, 0], JSON.stringify(answers));
      const [first, again, other] = answers.map(({ stdout }) => JSON.parse(/\{.*\}/.exec(stdout)[0]));
      assert.equal(first.delivered, 1);
      assert.equal(again.id, first.id);
      assert.notEqual(other.id, first.id);
      assert.deepEqual(await heard(), [17, 18]);
    });

    test('with a wrong password prints the rule and fails', LIMITS, async (t) => {
      const server = await start(t, BY_PASSWORD);
      const heard = await page(t, server);
      const { code, stdout, stderr } = await pushed(`${server.url}/push/`, 17, 'a-wrong-password');
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, /"rule":"wrong-password"/);
      assert.doesNotMatch(stdout + stderr, /a-wrong-password/);
      assert.deepEqual(await heard(), []);
    });

    test('gives up on a server that does not answer, and on one that is not there', LIMITS, async (t) => {
      const port = await silent(t);
      const free = await freePort();
      for (const url of [`http://127.0.0.1:${port}/push/`, `http://127.0.0.1:${free}/push/`]) {
        const { code, stdout, stderr } = await pushed(url, 17, PASSWORD);
        assert.notEqual(code, 0, url);
        assert.notEqual(stdout + stderr, '', url);
        assert.doesNotMatch(stdout + stderr, new RegExp(PASSWORD));
      }
    });

    test('makes tokens that the server takes, and only for their user', LIMITS, async (t) => {
      const secrets = { TURTED_AUTH_PREFIX: PREFIX, TURTED_AUTH_KEY: KEY };
      const { code, stdout, stderr } = await run([...language.start(token), 'adam'], secrets);
      assert.equal(code, 0, stderr);
      const made = stdout.trim().split('\n');
      assert.equal(made.length, 2, stdout);
      const methods = [
        { method: 'token', hash: 'sha256', prefix: PREFIX },
        { method: 'jwt', algorithm: 'HS256', key: KEY },
      ];
      for (const [index, auth] of methods.entries()) {
        const server = await start(t, { auth });
        const tab = open(t, CELLS[11], server.url);
        tab.turted.ident({ username: 'eve', token: made[index] });
        assert.equal(await tab.refusal(), 'IDENT not verified', auth.method);
        await tab.ident('adam', { token: made[index] });
      }
    });

    test('makes no token without its prefix or its key', LIMITS, async () => {
      const both = { TURTED_AUTH_PREFIX: PREFIX, TURTED_AUTH_KEY: KEY };
      const { TURTED_AUTH_PREFIX, ...noPrefix } = both;
      const { TURTED_AUTH_KEY, ...noKey } = both;
      const emptyPrefix = { ...both, TURTED_AUTH_PREFIX: '' };
      for (const secrets of [noPrefix, emptyPrefix, noKey, { ...both, TURTED_AUTH_KEY: '' }, { ...both, TURTED_AUTH_KEY: KEY.slice(0, 31) }]) {
        const { code, stdout, stderr } = await run([...language.start(token), 'adam'], secrets);
        // turted itself, which the shell asks, warns of a short key.
        if (/can be guessed/.test(stderr)) continue;
        assert.notEqual(code, 0, JSON.stringify(secrets));
        assert.doesNotMatch(stdout, secrets.TURTED_AUTH_PREFIX ? /^eyJ/m : OF_NO_PREFIX, 'a token that everybody can make');
        assert.match(stderr, /TURTED_AUTH_(PREFIX|KEY)|key/);
      }
    });
  });
}

describe('a backend', { concurrency: 3 }, () => LANGUAGES.forEach(check));

describe('Laravel', { skip: !fs.existsSync('/usr/share/php/Illuminate/Events') && 'php-illuminate-events is not installed' }, () => {
  const script = path.join(__dirname, 'php', 'laravel.php');
  const dispatch = (server, order, user, password = PASSWORD) =>
    run(['php', script, directory, String(order), user], { TURTED_URL: `${server.url}/push/`, TURTED_PUSH_PASSWORD: password });

  before(() => {
    const files = ['TurtedBroadcaster.php', 'provider.php', 'broadcasting.php', 'OrderPaid.php'];
    const code = blocks('Laravel');
    assert.equal(code.length, files.length);
    files.forEach((file, index) => fs.writeFileSync(path.join(directory, file), code[index]));
  });

  test('broadcasts an event to the user of its private channel, once', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const [adam, eve] = [await page(t, server, 'adam'), await page(t, server, 'eve')];
    for (const order of [17, 17, 18]) {
      assert.deepEqual(await dispatch(server, order, 'adam'), { code: 0, stdout: '', stderr: '' });
    }
    assert.deepEqual([await adam(), await eve()], [[17, 18], []]);
  });

  test('with a wrong password throws the rule', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const { code, stderr } = await dispatch(server, 17, 'adam', 'a-wrong-password');
    assert.equal(code, 1);
    assert.match(stderr, /^turted: HTTP\/1.1 401 Unauthorized: .*"rule":"wrong-password"/);
    assert.doesNotMatch(stderr, /a-wrong-password/);
  });
});

describe('a backend that listens, in Python', () => {
  // The vector of docs/hooks.md.
  const SECRETS = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'];
  const MOMENT = 1795899601;
  const BODY =
    '{"node":"app-1:7117","life":"9f86d081884c7d65","sequence":1,"records":[{"id":"9f86d081884c7d65-1","type":"started","at":1795899600123}]}';
  const HEX = [
    'edf76e6c1e1af717259916b0af036d1781c227bd233977ffc0e596347c906a3c',
    '464bb21a8a30e95e7fc027aefc86443826c8713da335ef2dbfe1f825ed0886d7',
  ];
  const HEADER = `t=${MOMENT},v1=${HEX[0]},v1=${HEX[1]}`;
  const CASES = [
    ['signed with both secrets', HEADER, [SECRETS[0]], 0, 'ok'],
    ['of which the backend knows the second', HEADER, [SECRETS[1]], 299, 'ok'],
    ['signed with one secret, of a backend that knows both', `t=${MOMENT},v1=${HEX[0]}`, SECRETS, -299, 'ok'],
    ['signed with another secret', HEADER, ['x'], 0, 'the signature is wrong'],
    ['with a part of the signature', `t=${MOMENT},v1=${HEX[0].slice(0, -1)}`, SECRETS, 0, 'the signature is wrong'],
    ['with the signature of another moment', `t=${MOMENT + 1},v1=${HEX[0]}`, SECRETS, 0, 'the signature is wrong'],
    ['without a signature', `t=${MOMENT}`, SECRETS, 0, 'the signature is wrong'],
    ['with no ASCII', `t=${MOMENT},v1=é`, SECRETS, 0, 'the signature is wrong'],
    ['from too long ago', HEADER, SECRETS, 301, 'the signature is too old, or from the future'],
    ['from the future', HEADER, SECRETS, -301, 'the signature is too old, or from the future'],
    ['without a moment', `v1=${HEX[0]}`, SECRETS, 0, 'the signature is too old, or from the future'],
    ['without anything', '', SECRETS, 0, 'the signature is too old, or from the future'],
  ];

  test('takes what is signed and nothing else', LIMITS, async () => {
    const file = path.join(directory, 'cases.json');
    fs.writeFileSync(file, JSON.stringify({ body: BODY, moment: MOMENT, cases: CASES }));
    const [code] = blocks('A backend that listens');
    const judge = `
given = json.load(open("cases.json"))
for name, header, secrets, late, due in given["cases"]:
    try:
        batch = verify(given["body"].encode(), header, [one.encode() for one in secrets], lambda: given["moment"] + late)
        found = "ok" if batch["records"][0]["type"] == "started" else "another batch"
    except ValueError as refused:
        found = str(refused)
    print(name + ": " + found)
`;
    fs.writeFileSync(path.join(directory, 'verify.py'), code + judge);
    const { stdout, stderr } = await run(['python3', 'verify.py']);
    assert.equal(stdout, CASES.map(([name, , , , due]) => `${name}: ${due}\n`).join(''), stderr);
  });

  test('hears what a server sends it, from the start to the stop', LIMITS, async (t) => {
    const secretFile = path.join(directory, 'hook.secret');
    fs.writeFileSync(secretFile, `${SECRETS.join('\n')}\n`, { mode: 0o600 });
    const [code] = blocks('A backend that listens');
    fs.writeFileSync(path.join(directory, 'listen.py'), `${code}${LISTENER}`);
    const child = spawn('python3', ['listen.py', SECRETS[1]], { cwd: directory });
    afterwards(t, () => child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    const [, port] = await until(() => /^port (\d+)\n/.exec(output), () => `a port in ${output}`);
    const hook = { name: 'python', url: `http://127.0.0.1:${port}/`, secret_file: secretFile, grace: '200ms' };
    const server = await start(t, { hooks: [{ ...hook, dispatches: ['order:*'], clients: ['user-online', 'user-offline'] }] });
    const records = () => output.trim().split('\n').slice(1);
    await until(() => records().includes('synced'), () => `synced in ${output}`);
    const tab = open(t, CELLS[11], server.url);
    await tab.ident('adam');
    await server.emit('order:new', { broadcast: true });
    await until(() => records().includes('dispatch order:new'), () => `the dispatch in ${output}`);
    await server.stop();
    assert.deepEqual(records(), ['started', 'synced', 'user-online adam', 'dispatch order:new', 'stopped']);
  });

  test('knows who is online over several servers', LIMITS, async () => {
    const [, code] = blocks('A backend that listens');
    const judge = `
import json, sys
for node, records, due in json.load(sys.stdin):
    hear({"node": node, "records": records})
    assert sorted(online()) == due, (node, records, online())
`;
    const [adam, eve] = ['adam', 'eve'].map((user) => ({ type: 'user-online', user }));
    const offline = { type: 'user-offline', user: 'adam' };
    const [started, gap, synced, stopped] = ['started', 'gap', 'synced', 'stopped'].map((type) => ({ type }));
    const steps = [
      ['a:1', [started, adam, synced], ['adam']],
      ['b:1', [started, adam, eve, synced], ['adam', 'eve']],
      ['a:1', [offline], ['adam', 'eve']],
      ['b:1', [offline], ['eve']],
      ['b:1', [gap], ['eve']],
      ['b:1', [adam, synced], ['adam']],
      ['a:1', [eve, { type: 'node-gone', node: 'b:1' }], ['eve']],
      ['b:1', [started, adam, synced], ['adam', 'eve']],
      ['b:1', [started], ['adam', 'eve']],
      ['b:1', [synced], ['eve']],
      ['a:1', [stopped], []],
    ];
    fs.writeFileSync(path.join(directory, 'online.py'), code + judge);
    execFileSync('python3', ['online.py'], { cwd: directory, input: JSON.stringify(steps) });
  });
});

/** What serves with the check of the page: prints each record, and answers 401 to what is not signed. */
const LISTENER = `

import http.server, sys


class Listener(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body, status = self.rfile.read(int(self.headers["Content-Length"])), 200
        try:
            batch = verify(body, self.headers["Turted-Signature"], [sys.argv[1].encode()])
            for record in batch["records"]:
                more = record.get("user") or record.get("dispatch", {}).get("event", "")
                print((record["type"] + " " + more).strip(), flush=True)
        except ValueError as refused:
            print(refused, flush=True)
            status = 401
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
print("port", server.server_port, flush=True)
server.serve_forever()
`;
