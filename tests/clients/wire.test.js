'use strict';
// The bytes that both generations of Engine.IO and Socket.IO put on the wire.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { request } = require('./http');
const { connectSocket, dialSocket, framed, Polling } = require('./raw');
const { start } = require('./server');

const LIMITS = { timeout: 30_000 };
const ORIGIN = 'http://page.example';
const SEPARATOR = '\x1e';
const ECHO_OF_OLD = '42["ECHO","é€😀 \\"q\\" \\\\ end"]';

const open3 = (sid, upgrades) => `0{"sid":"${sid}","upgrades":${upgrades},"pingInterval":25000,"pingTimeout":20000}`;
const open4 = (sid, upgrades) =>
  `0{"sid":"${sid}","upgrades":${upgrades},"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`;
const sidOf = (text) => /"sid":"([^"]+)"/.exec(text)[1];

function assertConnect4(packet, engineSid) {
  const connect = /^40\{"sid":"([^"]+)"(?:,"pid":"[^"]+")?\}$/.exec(packet);
  assert.ok(connect, packet);
  assert.notEqual(connect[1], engineSid, 'the id of the socket is not that of the engine');
}

/** Removes the position that the server appends behind a string: without one, a client of Engine.IO 4 that can
 * recover would take the string for its position. */
function withoutOffset(packet) {
  return packet.replace(/,"[0-9a-f]+-\d+"\]$/, ']');
}

describe('Engine.IO 3 over polling', { concurrency: true }, () => {
  test('opens and connects in one payload, unasked', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 3);
    const answer = await polling.handshake();
    const packet = open3(polling.sid, '["websocket"]');
    assert.equal(answer.status, 200);
    assert.equal(answer.body, `${packet.length}:${packet}2:40`);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
  });

  // socket.io-client 1 decodes UTF-8 twice and 2 once; both read these answers alike.
  test('counts UTF-16 code units, and answers in ASCII or in bytes', LIMITS, async (t) => {
    const server = await start(t);
    for (const query of ['&b64=1', '']) {
      const polling = new Polling(server, 3, query);
      await polling.handshake();
      assert.match(framed(ECHO_OF_OLD), /^30:/);
      const posted = await polling.post(framed(ECHO_OF_OLD));
      assert.deepEqual([posted.status, posted.body, posted.headers['content-type']], [200, 'ok', 'text/html']);
      const got = await polling.get();
      if (query === '') {
        assert.equal(got.headers['content-type'], 'application/octet-stream');
        assert.ok(got.body.endsWith(ECHO_OF_OLD), got.body);
      } else {
        const [, length, packet] = /^(\d+):(42[ -~]*)$/.exec(got.body);
        assert.equal(Number(length), packet.length);
        assert.deepEqual(JSON.parse(packet.slice(2)), JSON.parse(ECHO_OF_OLD.slice(2)));
      }
    }
  });

  test('takes several packets in one body and answers in order', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 3);
    await polling.handshake();
    const packets = ['42["IDENT",{"username":"adam"}]', '42["JOIN",{"channel":"chat"}]', '42["ECHO",1]'];
    await polling.post(packets.map(framed).join(''));
    const due = ['42["OK",{"username":"adam"}]', '42["OK",{"channel":"chat"}]', '42["ECHO",1]'];
    let body = '';
    while (body.length < due.map(framed).join('').length) body += (await polling.get()).body;
    assert.equal(body, due.map(framed).join(''));
  });

  test('names the origin, allows credentials and sets the cookie on every answer', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 3, '', { Origin: ORIGIN });
    const answers = [await polling.handshake(), await polling.post('12:42["ECHO",1]'), await polling.get()];
    for (const answer of answers) {
      assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
      assert.equal(answer.headers['access-control-allow-credentials'], 'true');
      assert.deepEqual(answer.headers['set-cookie'], [`io=${polling.sid}; Path=/; HttpOnly; SameSite=Strict`]);
    }
  });

  test('lets every origin in without credentials if the client names none', LIMITS, async (t) => {
    const answer = await new Polling(await start(t), 3).handshake();
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  });

  test('names the origin on errors and on OPTIONS too', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 3);
    const headers = { Origin: ORIGIN };
    const error = await request(`${polling.url}&sid=unknown`, { headers });
    await polling.handshake();
    const preflight = await request(polling.sessionUrl, { method: 'OPTIONS', headers });
    assert.equal(error.status, 400);
    assert.equal(preflight.status, 200);
    for (const answer of [error, preflight]) {
      assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
      assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    }
    assert.match(preflight.headers['access-control-allow-headers'], /content-type/i);
  });

  test('speaks JSONP to pages that ask for it', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 3, '&j=0');
    const unwrapped = ({ body }) => JSON.parse(/^___eio\[0\]\((".*")\);$/s.exec(body)[1]);
    const answer = await polling.handshake();
    const packet = open3(polling.sid, '["websocket"]');
    assert.equal(unwrapped(answer), `${packet.length}:${packet}2:40`);
    assert.match(answer.body, /^___eio\[0\]\("\d+:0\{\\"sid\\":/);
    const echo = '42["ECHO","a b&\\n"]';
    // The client doubles the backslash of the two characters
    // , so that they survive the form.
    const form = `d=${encodeURIComponent(framed(echo).replace('\\n', '\\\\n'))}`;
    const posted = await polling.post(form, 'application/x-www-form-urlencoded');
    assert.deepEqual([posted.status, posted.body], [200, 'ok']);
    assert.equal(unwrapped(await polling.get()), framed(echo));
  });

  test('escapes line separators in JSONP', LIMITS, async (t) => {
    const server = await start(t);
    const polling = new Polling(server, 3, '&j=7');
    await polling.handshake();
    await server.emit('E', { broadcast: true }, '\u2028\u2029');
    const { body } = await polling.get();
    assert.match(body, /^___eio\[7\]\("/);
    assert.doesNotMatch(body, /[\u2028\u2029]/);
    assert.match(body, /\\\\u2028\\\\u2029/);
  });
});

describe('Engine.IO 4 over polling', { concurrency: true }, () => {
  test('opens, and connects when asked', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 4);
    const answer = await polling.handshake();
    assert.equal(answer.status, 200);
    assert.equal(answer.body, open4(polling.sid, '["websocket"]'));
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['set-cookie'], undefined);
    const posted = await polling.post('40');
    assert.deepEqual([posted.status, posted.body, posted.headers['content-type']], [200, 'ok', 'text/html']);
    assertConnect4((await polling.get()).body, polling.sid);
  });

  test('separates packets with 0x1e, both ways', LIMITS, async (t) => {
    const polling = new Polling(await start(t), 4);
    await polling.handshake();
    await polling.post('40');
    await polling.get();
    await polling.post(['42["ECHO","a\\u001eb"]', ECHO_OF_OLD, '42["ECHO"]'].join(SEPARATOR));
    const due = ['42["ECHO","a\\u001eb"]', ECHO_OF_OLD, '42["ECHO",null]'];
    const packets = [];
    while (packets.length < due.length) packets.push(...(await polling.get()).body.split(SEPARATOR));
    assert.deepEqual(packets.map(withoutOffset), due);
  });
});

describe('a WebSocket', { concurrency: true }, () => {
  test('of Engine.IO 3 opens and connects unasked', LIMITS, async (t) => {
    const raw = await connectSocket(t, await start(t), 3);
    assert.equal(raw.handshake, open3(sidOf(raw.handshake), '[]'));
    assert.equal(raw.connected, '40');
  });

  test('of Engine.IO 4 opens, and connects when asked', LIMITS, async (t) => {
    const raw = await connectSocket(t, await start(t), 4);
    const sid = sidOf(raw.handshake);
    assert.equal(raw.handshake, open4(sid, '[]'));
    assertConnect4(raw.connected, sid);
  });

  test('of Engine.IO 3 has its pings answered', LIMITS, async (t) => {
    const raw = await connectSocket(t, await start(t), 3);
    assert.equal(await raw.ask('2'), '3');
  });

  for (const [eio, noop] of [[3, '1:6'], [4, '6']]) {
    test(`of Engine.IO ${eio} that upgrades is probed, frees the waiting poll and takes over`, LIMITS, async (t) => {
      const server = await start(t);
      const polling = new Polling(server, eio);
      await polling.handshake();
      if (eio === 4) {
        await polling.post('40');
        await polling.get();
      }
      const waiting = polling.get();
      const raw = await dialSocket(t, server, eio, `&sid=${polling.sid}`);
      assert.equal(await raw.ask('2probe'), '3probe');
      assert.equal((await waiting).body, noop);
      await server.emit('MEANWHILE', { broadcast: true });
      raw.send('5');
      assert.match(await raw.frame(), /^42\["EVENT",\{"event":"MEANWHILE",/);
      assert.equal(await raw.ask('42["ECHO",1]'), '42["ECHO",1]');
      assert.equal((await polling.get()).status, 400);
    });
  }
});

for (const eio of [3, 4]) {
  describe(`the texts of TURTED over Engine.IO ${eio}`, { concurrency: true }, () => {
    const TEXTS = [
      ['42["IDENT",{"username":"adam"}]', '42["OK",{"username":"adam"}]'],
      ['42["IDENT",{"user":"adam"}]', '42["OK",{"username":"adam"}]'],
      ['42["IDENT",{"user":"eve","username":"adam","more":[1]}]', '42["OK",{"username":"adam"}]'],
      ['42["JOIN",{"channel":"chat"}]', '42["OK",{"channel":"chat"}]'],
      ['42["JOIN",{"channel":"é\\"\\\\😀"}]', '42["OK",{"channel":"é\\"\\\\😀"}]'],
      ['42["LEAVE",{"channel":"chat"}]', '42["OK",{"channel":"chat"}]'],
      ['42["ECHO",{"b":1,"a":"é\u2028😀"}]', '42["ECHO",{"b":1,"a":"é\u2028😀"}]'],
      ['42["ECHO"]', '42["ECHO",null]'],
      ['42["ECHO",1,2]', '42["ECHO",1]'],
    ];

    test('are those of the node server', LIMITS, async (t) => {
      const raw = await connectSocket(t, await start(t), eio);
      for (const [sent, due] of TEXTS) assert.equal(await raw.ask(sent), due);
    });

    test('refuse an IDENT with the text of the node server', LIMITS, async (t) => {
      const server = await start(t, { auth: { method: 'password', password: 'right' } });
      const raw = await connectSocket(t, server, eio);
      const refused = await raw.ask('42["IDENT",{"username":"adam","password":"wrong"}]');
      assert.equal(eio === 4 ? withoutOffset(refused) : refused, '42["ERROR","IDENT not verified"]');
      assert.equal(await raw.ask('42["IDENT",{"username":"adam","password":"right"}]'), '42["OK",{"username":"adam"}]');
    });

    test('answer commands that the node server ignored', LIMITS, async (t) => {
      const raw = await connectSocket(t, await start(t), eio);
      assert.equal(await raw.ask('42["PING",1]'), '42["PONG",1]');
      assert.match(await raw.ask('42["message","LEAVE-NOT"]'), /^42\["ERROR","unknown command: there are IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING"/);
      assert.match(await raw.ask('42["whatever"]'), /^42\["ERROR","unknown command: there are IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING"/);
    });

    test('carry an event with its via, and an offset where the client can recover', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      await raw.ask('42["IDENT",{"username":"adam"}]');
      await server.push('{"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"b":1,"a":"é\u2028"}}');
      const event = await raw.frame();
      const due = '42["EVENT",{"event":"MESSAGE:NEW","payload":{"b":1,"a":"é\u2028"},"via":{"user":"adam"}}';
      if (eio === 3) assert.equal(event, `${due}]`);
      else assert.match(event.slice(due.length), /^(,"[^"\\]+")?\]$/);
      assert.equal(event.slice(0, due.length), due);
    });

    test('answer an acknowledgement id', LIMITS, async (t) => {
      const raw = await connectSocket(t, await start(t), eio);
      const answers = [await raw.ask('427["JOIN",{"channel":"chat"}]')];
      raw.send('42["ECHO",0]');
      while (answers.at(-1) !== '42["ECHO",0]') answers.push(await raw.frame());
      assert.ok(answers.includes('437[{"ok":true,"channel":"chat"}]'), answers.join(' '));
    });

    test('refuse a namespace and keep the connection', LIMITS, async (t) => {
      const raw = await connectSocket(t, await start(t), eio);
      const due = eio === 3 ? '44/custom,"Invalid namespace"' : '44/custom,{"message":"Invalid namespace"}';
      assert.equal(await raw.ask('40/custom,'), due);
      assert.equal(await raw.ask('42["ECHO",1]'), '42["ECHO",1]');
    });

    test('end with packet 41', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      await raw.ask('42["IDENT",{"username":"adam"}]');
      raw.send('41');
      const witness = await connectSocket(t, server, eio);
      await witness.ask('42["IDENT",{"username":"adam"}]');
      await server.emit('AFTER', { users: ['adam'] });
      assert.match(await witness.frame(), /"AFTER"/);
      assert.deepEqual(raw.frames, []);
    });
  });

  describe(`the errors of Engine.IO ${eio}`, { concurrency: true }, () => {
    const ERRORS = [
      [0, 'Transport unknown', 'GET', `EIO=${eio}&transport=pigeon`],
      [0, 'Transport unknown', 'GET', `EIO=${eio}`],
      [1, 'Session ID unknown', 'GET', `EIO=${eio}&transport=polling&sid=unknown`],
      [1, 'Session ID unknown', 'POST', `EIO=${eio}&transport=polling&sid=unknown`],
      [2, 'Bad handshake method', 'POST', `EIO=${eio}&transport=polling`],
      [3, 'Bad request', 'GET', `EIO=${eio}&transport=websocket`],
    ];
    for (const [code, message, method, query] of ERRORS) {
      test(`are ${message} for ${method} ${query}`, LIMITS, async (t) => {
        const server = await start(t);
        const answer = await request(`${server.url}/socket.io/?${query}`, { method });
        assert.equal(answer.status, 400);
        assert.equal(answer.body, JSON.stringify({ code, message }));
        assert.match(answer.headers['content-type'], /^application\/json/);
      });
    }

    test('are Bad request for polling with the session of a WebSocket', LIMITS, async (t) => {
      const server = await start(t);
      const raw = await connectSocket(t, server, eio);
      const polling = new Polling(server, eio);
      polling.sid = sidOf(raw.handshake);
      const answer = await polling.get();
      assert.deepEqual([answer.status, answer.body], [400, '{"code":3,"message":"Bad request"}']);
    });
  });
}

test('a protocol of the future is refused', LIMITS, async (t) => {
  const server = await start(t);
  const answer = await request(`${server.url}/socket.io/?EIO=5&transport=polling`);
  assert.deepEqual([answer.status, answer.body], [400, '{"code":5,"message":"Unsupported protocol version"}']);
});

test('the configured heartbeat and limit are announced', LIMITS, async (t) => {
  const server = await start(t, { socketio: { ping_interval: '300ms', ping_timeout: '7s', max_payload: 123456, path: '/io/' } });
  const { body } = await request(`${server.url}/io/?EIO=4&transport=polling`);
  const { pingInterval, pingTimeout, maxPayload } = JSON.parse(body.slice(1));
  assert.deepEqual([pingInterval, pingTimeout, maxPayload], [300, 7000, 123456]);
});
