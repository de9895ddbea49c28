'use strict';
// The answers of /push/, and which pages each form of a push reaches.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { dial, request } = require('./http');
const { connectSocket } = require('./raw');
const { start } = require('./server');
const { CELLS, open } = require('./tab');

const LIMITS = { timeout: 30_000 };
const PASSWORD = 'IamAllowed2PUSH!!!';
const BY_PASSWORD = { push: { method: 'password', password: PASSWORD } };
const NOT_ALLOWED_PAGE =
  '<html><head><title>405 - Method not supported</title></head>' +
  '<body><h1>Method not supported.</h1></body></html>';

const push = { event: 'E', targets: { users: ['adam'] }, payload: { n: 1 } };
const signed = { ...push, auth: { password: PASSWORD } };

/** Pages of adam, bob and eve. Each is also in the channel named by the first letter of its user. */
async function audience(t, server) {
  const tabs = {};
  for (const name of ['adam', 'bob', 'eve']) {
    tabs[name] = open(t, CELLS[1], server.url);
    await tabs[name].ident(name);
    await tabs[name].join(name[0]);
  }
  return tabs;
}

/** The users that received `E`, after a marker behind it has arrived at every page. */
async function listeners(server, tabs, auth) {
  const marker = { event: 'END', targets: { broadcast: true }, auth };
  assert.equal((await server.push(marker)).status, 200);
  const heard = [];
  for (const [name, tab] of Object.entries(tabs)) {
    await tab.event('END');
    for (const { event } of tab.events) if (event === 'E') heard.push(name);
    tab.events.length = 0;
  }
  return heard;
}

describe('an answer', { concurrency: true }, () => {
  const POSTS = [
    ['to a push', signed, 200, 'OK'],
    ['to a push with a bare password', { ...push, auth: PASSWORD }, 200, 'OK'],
    ['to a push without targets', { event: 'E', auth: PASSWORD }, 200, 'OK'],
    ['to a push with empty targets', { ...signed, targets: {} }, 200, 'OK'],
    ['to a push with empty PHP targets', { ...signed, targets: [] }, 200, 'OK'],
    ['to an empty body', '', 400, 'Data was not json'],
    ['to half an object', '{"event":', 400, 'Data was not json'],
    ['to a form', 'event=E', 400, 'Data was not json'],
    ['to a wrong password', { ...push, auth: { password: 'guess' } }, 401, 'Wrong auth data'],
    ['to a wrong bare password', { ...push, auth: 'guess' }, 401, 'Wrong auth data'],
    ['to a push without auth', push, 401, 'Wrong auth data'],
    ['to auth with hasOwnProperty', { ...push, auth: { hasOwnProperty: 1 } }, 401, 'Wrong auth data'],
  ];
  for (const [title, body, status, text] of POSTS) {
    test(`${title} is ${status} ${text}`, LIMITS, async (t) => {
      const server = await start(t, BY_PASSWORD);
      const answer = await server.push(body);
      const reasons = { 200: 'OK', 400: 'Bad Request', 401: 'Unauthorized' };
      assert.deepEqual([answer.status, answer.reason, answer.body], [status, reasons[status], text]);
      assert.equal(answer.headers['content-type'], undefined);
      assert.equal(answer.headers['content-length'], String(text.length));
      assert.equal(answer.headers['access-control-allow-origin'], undefined);
    });
  }

  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
    test(`to ${method} is 405 with the page of the node server`, LIMITS, async (t) => {
      const server = await start(t);
      const answer = await request(`${server.url}/push/`, { method });
      assert.deepEqual([answer.status, answer.reason], [405, 'Method not supported']);
      assert.equal(answer.headers['content-type'], 'text/html');
      assert.equal(answer.body, NOT_ALLOWED_PAGE);
    });
  }

  test('to HEAD is 405 without a body', LIMITS, async (t) => {
    const server = await start(t);
    const answer = await request(`${server.url}/push/`, { method: 'HEAD' });
    assert.deepEqual([answer.status, answer.reason, answer.body], [405, 'Method not supported', '']);
  });

  test('to OPTIONS is 200 and empty, and lets no origin in', LIMITS, async (t) => {
    const server = await start(t);
    const ask = (headers) => request(`${server.url}/push/`, { method: 'OPTIONS', headers });
    const [answer, refused] = [await ask({}), await ask({ Origin: 'http://evil.example' })];
    assert.deepEqual([answer.status, answer.body, refused.status], [200, '', 403]);
    for (const { headers } of [answer, refused]) assert.equal(headers['access-control-allow-origin'], undefined);
  });
});

describe('a connection to /push/', { concurrency: true }, () => {
  const body = JSON.stringify(push);
  const head = (version, extra = '') =>
    `POST /push/ HTTP/${version}\r\nHost: localhost\r\nContent-type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n${extra}\r\n${body}`;

  test('carries several pushes', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    for (let count = 1; count <= 3; count++) {
      line.send(head('1.1'));
      await line.match(new RegExp(`^(HTTP/1\\.1 200 OK\\r\\n(?:[^\\r]+\\r\\n)+\\r\\nOK){${count}}$`));
    }
    assert.equal(line.ended, false);
  });

  test('carries pushes that were sent without waiting', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    line.send(head('1.1') + head('1.1') + head('1.1'));
    await line.match(/^(HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\nOK){3}$/);
  });

  test('ends after one push if the client says so', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    line.send(head('1.1', 'Connection: close\r\n'));
    await line.end();
    assert.match(line.received, /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\nOK$/);
  });

  test('of HTTP/1.0 gets its answer unchunked and ends', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    line.send(head('1.0'));
    await line.end();
    assert.match(line.received, /^HTTP\/1\.[01] 200 OK\r\n(?:[^\r]+\r\n)+\r\nOK$/);
    assert.doesNotMatch(line.received, /transfer-encoding/i);
  });

  test('may send its body in chunks', LIMITS, async (t) => {
    const server = await start(t);
    const line = await dial(t, server.port);
    line.send('POST /push/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const part of [body.slice(0, 7), body.slice(7)]) line.send(`${part.length.toString(16)}\r\n${part}\r\n`);
    line.send('0\r\n\r\n');
    await line.match(/^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\nOK$/);
  });
});

describe('a push', { concurrency: true }, () => {
  const DELIVERIES = [
    ['to a list of users', { users: ['adam', 'eve'] }, ['adam', 'eve']],
    ['to one user as a string', { users: 'adam' }, ['adam']],
    ['to one channel as a string', { channels: 'b' }, ['bob']],
    ['to users in a gapped PHP array', { users: { 0: 'adam', 2: 'eve' } }, ['adam', 'eve']],
    ['to channels in a gapped PHP array', { channels: { 5: 'b' } }, ['bob']],
    ['to a user and his channel reaches him once', { users: ['adam'], channels: ['a'] }, ['adam']],
    ['to a user named twice reaches him once', { users: ['adam', 'adam'] }, ['adam']],
    ['to a user and the channel of another', { users: ['adam'], channels: ['e'] }, ['adam', 'eve']],
    ['to everyone', { broadcast: true }, ['adam', 'bob', 'eve']],
    ['to everyone and one user reaches each once', { users: ['bob'], broadcast: true }, ['adam', 'bob', 'eve']],
    ['with broadcast false reaches only the users it names', { users: ['bob'], broadcast: false }, ['bob']],
    ['to nobody', {}, []],
  ];
  for (const [title, targets, due] of DELIVERIES) {
    test(`${title}`, LIMITS, async (t) => {
      const server = await start(t);
      const tabs = await audience(t, server);
      await server.emit('E', targets);
      assert.deepEqual(await listeners(server, tabs), due);
    });
  }

  const PAYLOADS = ['0', 'false', '""', 'null', '[]', '{}', '{"n":1.0,"big":12345678901234567890,"z":1,"10":[ ]}', '"\\u00e9\\/\u2028"'];
  test('has its payload forwarded byte for byte', LIMITS, async (t) => {
    const server = await start(t);
    const raw = await connectSocket(t, server, 3);
    for (const payload of PAYLOADS) {
      const { status } = await server.push(`{"event":"E","targets":{"broadcast":true},"payload":${payload}}`);
      assert.equal(status, 200);
      assert.equal(await raw.frame(), `42["EVENT",{"event":"E","payload":${payload},"via":{"broadcast":true}}]`);
    }
  });

  test('without a payload carries an empty object', LIMITS, async (t) => {
    const server = await start(t);
    const raw = await connectSocket(t, server, 3);
    await server.push({ event: 'E', targets: { broadcast: true } });
    assert.equal(await raw.frame(), '42["EVENT",{"event":"E","payload":{},"via":{"broadcast":true}}]');
  });

  for (const path of ['/x?y=/push/', '/any/push/thing', '/push/more']) {
    test(`to ${path} is no push`, LIMITS, async (t) => {
      const server = await start(t);
      const tabs = await audience(t, server);
      await request(server.url + path, { method: 'POST', body: JSON.stringify(push) });
      assert.deepEqual(await listeners(server, tabs), []);
    });
  }

  test('to /push is not redirected, because PHP would follow as GET', LIMITS, async (t) => {
    const server = await start(t);
    const { status } = await request(`${server.url}/push`, { method: 'POST', body: JSON.stringify(push) });
    assert.ok(status < 300 || status >= 400, `status ${status}`);
  });
});

describe('a push in the old form', { concurrency: true }, () => {
  const auth = { password: PASSWORD };
  // `push.html` of turted-client sends its target as a user and as a channel, with every command.
  const page = (cmd, target) => ({
    cmd,
    auth,
    data: { event: 'E', channels: [target], user: [target], payload: 'Data to deliver' },
  });
  const FORMS = [
    ['by push.html to a user', page('notifyUser', 'adam'), ['adam']],
    ['by push.html to a channel', page('notifyChannel', 'b'), ['bob']],
    ['by push.html to everyone', page('notifyAll', 'xosofox'), ['adam', 'bob', 'eve']],
    ['to a user as a string', { cmd: 'notifyUser', auth, data: { event: 'E', user: 'adam' } }, ['adam']],
    ['to a channel as a string', { cmd: 'notifyChannel', auth, data: { event: 'E', channel: 'b' } }, ['bob']],
    [
      'by the bundle 2.x with users and channels',
      { cmd: 'notify', password: PASSWORD, auth, data: { event: 'E', users: ['adam'], channels: ['e'] } },
      ['adam', 'eve'],
    ],
    [
      'by the bundle 1.x with its password beside the command',
      { cmd: 'notifyUser', password: PASSWORD, data: { event: 'E', user: 'adam', payload: {} } },
      ['adam'],
    ],
  ];
  for (const [title, form, due] of FORMS) {
    test(`${title} is delivered`, LIMITS, async (t) => {
      const server = await start(t, BY_PASSWORD);
      const tabs = await audience(t, server);
      const answer = await server.push(form);
      assert.deepEqual([answer.status, answer.body], [200, 'OK']);
      assert.deepEqual(await listeners(server, tabs, auth), due);
    });
  }

  test('with a wrong password is refused', LIMITS, async (t) => {
    const server = await start(t, BY_PASSWORD);
    const answer = await server.push({ ...page('notifyAll', 'adam'), auth: { password: 'guess' } });
    assert.deepEqual([answer.status, answer.body], [401, 'Wrong auth data']);
  });
});
