// What the types of the package accept and refuse. Only the compiler reads this file: tests/clients/library/build.test.js.

import { TURTED, TurtedError, type Gap, type Meta, type Off, type State, type Via, type Why } from '@turted/client';

interface Events {
  'MESSAGE:NEW': { id: number; text: string };
  ping: null;
}

const turted = new TURTED<Events>('https://push.example', {
  ident: { username: 'adam' },
  getToken: async ({ reason }) => (reason === 'first' ? 'token' : null),
  transports: ['websocket', 'sockjs'],
  WebSocket,
  connect: false,
  paths: { websocket: '/live' },
  retry: { min: 50 },
});

const off: Off = turted.on('MESSAGE:NEW', function (message, meta) {
  const text: string = message.text;
  const via: Via = this.via;
  const name: 'MESSAGE:NEW' = meta.event;
  const cursor: string | undefined = meta.cursor;
  return [text, via, name, cursor];
});
off();
turted.once('ping', (payload: null) => payload);
turted.on('*', (payload, { event }) => (event === 'ping' ? payload : (event satisfies 'MESSAGE:NEW')));
turted.off('ping');

const user: Promise<string> = turted.ident({ token: 'x' });
const joined: Promise<void> = turted.join('chat');
const left: Promise<void> = turted.leave('chat');
const echoed: Promise<number[]> = turted.echo([1]);
const properties: [State, string | undefined, string | undefined, boolean] = [
  turted.state,
  turted.user,
  turted.connection,
  turted.recovered,
];
turted.onState((state: State, { code, reason }: Why) => [state, code, reason]);
turted.onGap(({ code }: Gap) => code.length);
turted.onError((error) => (error instanceof TurtedError ? error.rule : error.message));
export const everything = [user, joined, left, echoed, properties];

// Without a list of events every name is one.
const loose = new TURTED('wss://push.example');
loose.on('anything', (payload, { via }: Meta) => [payload.some.member, via]);

// @ts-expect-error: no event of this name
turted.on('MESSAGE:OLD', () => {});
// @ts-expect-error: the payload has no such member
turted.on('MESSAGE:NEW', (message) => message.title);
// @ts-expect-error: the payload is of another type
turted.on('ping', (payload: string) => payload);
// @ts-expect-error: a handler is missing
turted.on('ping');
// @ts-expect-error: a channel is a string
turted.join(7);
// @ts-expect-error: ident has data
turted.ident('adam');
// @ts-expect-error: the state is told, not set
turted.state = 'connected';
// @ts-expect-error: no such transport
new TURTED('https://push.example', { transports: ['polling'] });
// @ts-expect-error: no such option
new TURTED('https://push.example', { gettoken: () => 'token' });
// @ts-expect-error: a token is a string
new TURTED('https://push.example', { getToken: () => 7 });
// @ts-expect-error: a socket is no options
new TURTED('https://push.example', new WebSocket('wss://push.example'));
