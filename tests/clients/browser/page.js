'use strict';
// What the pages of `browser.test.js` do with each client. `open(url, ..)` makes `tab`, which has `events`,
// `ident`, `join`, `echo` and `losses`: how often its connection was lost.

/* global SockJS, TURTED, V1, io */

const HELLO = { type: 'hello', protocol: 'turted.v1' };

/** The unmodified turted-client, without any option, or on a connection with these options. */
function openTurted(url, options) {
  const turted = options ? new TURTED(url, io(url, options)) : new TURTED(url);
  const { nativeConnection: native } = turted;
  const tab = { events: [], losses: 0, connects: 0, sock: native };
  const answers = new Map();
  const asked = (key, ask) => new Promise((resolve) => (answers.set(JSON.stringify(key), resolve), ask()));
  const answered = (key) => answers.get(JSON.stringify(key))?.();
  native.on('EVENT', (event) => tab.events.push(event));
  native.on('OK', (data) => answered(data));
  native.on('ECHO', (data) => answered({ data }));
  native.on('connect', () => tab.connects++);
  native.on('disconnect', () => tab.losses++);
  tab.ident = (username) => asked({ username }, () => turted.ident({ username }));
  tab.join = (channel) => asked({ channel }, () => turted.join(channel));
  tab.echo = (data) => asked({ data }, () => turted.echo(data));
  Object.defineProperty(tab, 'transport', { get: () => native.io.engine?.transport.name });
  Object.defineProperty(tab, 'isReady', { get: () => native.connected });
  return tab;
}

/** turted.v1 over the connection that `connect()` returns. */
function openV1(connect, hello) {
  const client = new V1(connect, hello);
  const must = (reply) => {
    if (!reply.ok) throw new Error(JSON.stringify(reply));
    return reply.data;
  };
  const tab = {
    client,
    events: client.events,
    losses: 0,
    ident: (username) => client.ident({ username }).then(must),
    join: (channel) => client.join(channel).then(must),
    echo: (data) => client.request({ do: 'echo', data }).then(must),
    get isReady() {
      return client.isReady;
    },
    get transport() {
      return client.socket.transport;
    },
  };
  client.onloss = () => tab.losses++;
  return tab;
}

function openWebSocket(url) {
  return openV1(() => new WebSocket(`${url.replace('http', 'ws')}/ws`, 'turted.v1'));
}

function openSockJs(url, transport) {
  return openV1(() => new SockJS(`${url}/turted`, null, { transports: [transport] }), HELLO);
}

/** An EventSource that listens for `names`, and never closes by itself. */
function openEventSource(url, query, names) {
  const source = new EventSource(`${url}/sse?${query}`);
  const tab = { source, events: [], losses: 0 };
  for (const name of [...names, 'message', 'turted:gap', 'turted:error']) {
    source.addEventListener(name, ({ data }) => tab.events.push({ event: name, payload: JSON.parse(data) }));
  }
  source.onerror = () => tab.losses++;
  Object.defineProperty(tab, 'isReady', { get: () => source.readyState === EventSource.OPEN });
  return tab;
}
