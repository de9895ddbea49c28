'use strict';
// Inputs that crashed the node server, and similar ones, do not crash this one.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { dial } = require('./http');
const { connectSocket, dialSocket, framed, Polling } = require('./raw');
const { start } = require('./server');

const LIMITS = { timeout: 30_000 };
const NESTING = 10_000;

/** Checks that the server still serves: a new connection receives a push. */
async function serves(t, server) {
  const raw = await connectSocket(t, server, 4);
  await server.emit('ALIVE', { broadcast: true });
  assert.match(await raw.frame(), /"ALIVE"/);
  assert.ok(server.alive);
}

const REFUSED = [
  '42["IDENT",null]',
  '42["IDENT"]',
  '42["IDENT",{}]',
  '42["IDENT",5]',
  '42["IDENT","adam"]',
  '42["IDENT",["adam"]]',
  '42["IDENT",{"username":""}]',
  '42["IDENT",{"username":{"toString":1}}]',
  '42["IDENT",{"username":["adam"]}]',
  '42["IDENT",{"hasOwnProperty":1}]',
  '42["IDENT",{"username":"a\\u0000b"}]',
  `42["IDENT",{"username":"${'x'.repeat(256)}"}]`,
  '42["JOIN"]',
  '42["JOIN",null]',
  '42["JOIN",7]',
  '42["JOIN","chat"]',
  '42["JOIN",{}]',
  '42["JOIN",{"channel":7}]',
  '42["JOIN",{"channel":null}]',
  '42["JOIN",{"channel":["chat"]}]',
  '42["JOIN",{"channel":""}]',
  '42["JOIN",{"channel":"a\\nb"}]',
  `42["JOIN",{"channel":"${'x'.repeat(256)}"}]`,
  '42["LEAVE"]',
  '42["LEAVE",{"channel":7}]',
  '42["message",5]',
  '42["message",null]',
  '42["message","CLOSE"]',
  '42["message","JOIN"]',
  '42["message","IDENT"]',
];

const CLOSING = [
  ['an event of the protocol itself', '42["disconnect"]'],
  ['an event without a name', '42[]'],
  ['broken JSON', '42["ECHO",'],
  ['an unknown packet type', '9'],
  ['an unknown Socket.IO packet type', '4x'],
];

// The server may refuse or ignore each of these packets, or close the connection.
const HARMLESS = ['42[5]', '42[{}]', '42{}', '42["connect"]', '42["newListener",1]', '43[1]', '44', '40{"pid":"x","offset":"y"}', '40[', '6', '5', ''];

for (const eio of [3, 4]) {
  describe(`over a WebSocket of Engine.IO ${eio}`, { concurrency: true }, () => {
    test('every wrong command is refused with a reason and the connection lives', LIMITS, async (t) => {
      const raw = await connectSocket(t, await start(t), eio);
      for (const packet of REFUSED) {
        assert.match(await raw.ask(packet), /^42\["ERROR",".+"\]$/, packet);
        assert.equal(await raw.ask('42["ECHO",1]'), '42["ECHO",1]', packet);
      }
    });

    for (const [title, packet] of CLOSING) {
      test(`${title} closes the connection: ${packet}`, LIMITS, async (t) => {
        const server = await start(t);
        const raw = await connectSocket(t, server, eio);
        raw.send(packet);
        await raw.close();
        assert.ok(!raw.frames.includes('41'), 'packet 41 would stop the client from coming back');
        await serves(t, server);
      });
    }

    for (const packet of HARMLESS) {
      test(`the packet ${JSON.stringify(packet)} does no harm`, LIMITS, async (t) => {
        const server = await start(t);
        const raw = await connectSocket(t, server, eio);
        raw.send(packet);
        await serves(t, server);
      });
    }

    for (const [title, left, right] of [['arrays', '[', ']'], ['objects', '{"a":', '}']]) {
      test(`an ECHO of ${NESTING} nested ${title} does no harm`, LIMITS, async (t) => {
        const server = await start(t);
        const raw = await connectSocket(t, server, eio);
        raw.send(`42["ECHO",${left.repeat(NESTING)}1${right.repeat(NESTING)}]`);
        await serves(t, server);
      });
    }

    test('a payload of 12000 nested arrays does no harm', LIMITS, async (t) => {
      const server = await start(t);
      await connectSocket(t, server, eio);
      await server.push(`{"event":"E","targets":{"broadcast":true},"payload":${'['.repeat(12_000)}${']'.repeat(12_000)}}`);
      await serves(t, server);
    });

    test('an attachment that is promised and never sent does no harm', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      raw.send('451-["ECHO",{"_placeholder":true,"num":0}]');
      raw.send('42["ECHO",1]');
      await serves(t, server);
    });

    test('a million promised attachments do no harm', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      raw.send('451000000-["ECHO",{"_placeholder":true,"num":0}]');
      await raw.close();
      await serves(t, server);
    });

    test('a message over the limit closes the connection', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      raw.send(`42["ECHO","${'x'.repeat(2_000_000)}"]`);
      await raw.close();
      await serves(t, server);
    });

    test('a probe for a session that does not exist is refused', LIMITS, async (t) => {
      const server = await start(t);
      await assert.rejects(async () => {
        const raw = await dialSocket(t, server, eio, '&sid=unknown');
        await raw.frame();
      });
      await serves(t, server);
    });
  });

  describe(`over polling of Engine.IO ${eio}`, { concurrency: true }, () => {
    const BODIES = {
      3: ['abc', '-1:40', '99999999999999999999:40', '5:40', ':', '2:', '1:9', '\u0000\u0001'],
      4: ['x', '\x1e\x1e\x1e', '9', '4', 'b!!!', '\u0000\u0001', '\x1e'.repeat(10_000)],
    };
    for (const body of BODIES[eio]) {
      test(`the body ${JSON.stringify(body.slice(0, 20))} (${body.length}) ends the session`, LIMITS, async (t) => {
        const server = await start(t);
        const polling = new Polling(server, eio);
        await polling.handshake();
        const posted = await polling.post(body);
        assert.ok([200, 400].includes(posted.status), `status ${posted.status}`);
        let got = await polling.get();
        // The first poll may still carry the end of the session.
        if (got.status === 200) got = await polling.get();
        assert.deepEqual([got.status, got.body], [400, '{"code":1,"message":"Session ID unknown"}']);
        await serves(t, server);
      });
    }

    test('two polls at once end the session', LIMITS, async (t) => {
      const server = await start(t);
      const polling = new Polling(server, eio);
      await polling.handshake();
      if (eio === 4) {
        await polling.post('40');
        await polling.get();
      }
      const both = await Promise.all([polling.get(), polling.get()]);
      assert.deepEqual(both.map((answer) => answer.status).sort(), [200, 400]);
      assert.equal((await polling.get()).body, '{"code":1,"message":"Session ID unknown"}');
    });

    test('a body over the limit is refused before it is read', LIMITS, async (t) => {
      const server = await start(t);
      const polling = new Polling(server, eio);
      await polling.handshake();
      const line = await dial(t, server.port);
      const target = polling.sessionUrl.slice(server.url.length);
      line.send(`POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n\r\n`);
      await line.match(/^HTTP\/1\.1 413 /);
      await line.end();
    });

    test('a command with a wrong type is refused and the session lives', LIMITS, async (t) => {
      const polling = new Polling(await start(t), eio);
      const packet = '42["JOIN",{"channel":7}]';
      await polling.handshake();
      if (eio === 4) {
        await polling.post('40');
        await polling.get();
      }
      await polling.post(eio === 3 ? framed(packet) : packet);
      assert.match((await polling.get()).body, /42\["ERROR",".+"\]$/);
    });
  });
}

describe('over /push/', { concurrency: true }, () => {
  const BAD_PUSHES = [
    ['null', 'null'],
    ['a number', '5'],
    ['a string', '"x"'],
    ['targets with hasOwnProperty', '{"event":"E","targets":{"hasOwnProperty":1}}'],
    ['a target with a line break', '{"event":"E","targets":{"users":["a\\nb"]}}'],
    ['a target with NUL', '{"event":"E","targets":{"channels":["a\\u0000b"]}}'],
    ['a target that is no text', '{"event":"E","targets":{"users":[{}]}}'],
    ['an event with a line break', '{"event":"x\\ndata: injected\\n\\n","targets":{"broadcast":true}}'],
    ['too many targets', JSON.stringify({ event: 'E', targets: { users: Array.from({ length: 1001 }, (_, i) => `u${i}`) } })],
    ['invalid UTF-8', Buffer.from('{"event":"\xff","targets":{"broadcast":true}}', 'latin1')],
  ];
  for (const [title, body] of BAD_PUSHES) {
    test(`${title} is answered 400`, LIMITS, async (t) => {
      const server = await start(t);
      const answer = await server.push(body);
      assert.equal(answer.status, 400, answer.body);
      assert.match(answer.body, /\S/);
      await serves(t, server);
    });
  }

  test('the event "error" is an ordinary event', LIMITS, async (t) => {
    const server = await start(t);
    const raw = await connectSocket(t, server, 3);
    await server.emit('error', { broadcast: true });
    assert.equal(await raw.frame(), '42["EVENT",{"event":"error","payload":{},"via":{"broadcast":true}}]');
  });

  test('a body over the limit is answered 413 before it is read', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    line.send('POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n\r\n');
    await line.match(/^HTTP\/1\.1 413 /);
    await line.end();
    await serves(t, server);
  });

  const SMUGGLED = [
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n'],
    ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'],
    ['a negative length', 'Content-Length: -1\r\n'],
  ];
  for (const [title, headers] of SMUGGLED) {
    test(`a request with ${title} is refused, or ends its connection`, LIMITS, async (t) => {
      const server = await start(t);
      const line = await dial(t, server.port);
      line.send(`POST /push/ HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await line.end();
      assert.ok(line.received.match(/HTTP\/1\.1 /g).length === 1, line.received);
      await serves(t, server);
    });
  }
});

test('secrets and the environment never reach the log', LIMITS, async (t) => {
  const secrets = { push: 'canary-push-9c1', auth: 'canary-auth-9c2', guess: 'canary-guess-9c3', env: 'canary-env-9c4' };
  const config = {
    push: { method: 'password', password: secrets.push },
    auth: { method: 'password', password: secrets.auth },
  };
  const server = await start(t, config, { UNRELATED_SECRET: secrets.env });
  const raw = await connectSocket(t, server, 4);
  await raw.ask(`42["IDENT",{"username":"adam","password":"${secrets.auth}"}]`);
  await raw.ask(`42["IDENT",{"username":"adam","password":"${secrets.guess}"}]`);
  await server.push({ event: 'E', auth: { password: secrets.guess } });
  await server.emit('E', { broadcast: true });
  raw.socket.terminate();
  assert.equal(await server.stop(), 0);
  for (const [name, secret] of Object.entries(secrets)) {
    assert.ok(!server.output.includes(secret), `the secret of ${name} was logged`);
  }
});
