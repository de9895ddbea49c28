// turted.v1 over SockJS, by the transport xhr_streaming: one response that streams frames, and POSTs for what is sent.
// For pages behind proxies that let no WebSocket through (docs/protocol-sockjs.md).

import { TurtedError } from './errors';
import { BROKEN, type Link, type LinkEvents } from './link';

// A body has the bytes of eight of the largest messages at most. JSON takes two bytes for a quote or a backslash, and a
// message may have hardly anything else.
const MESSAGES_MAX = 4;
const HELLO = '{"type":"hello","protocol":"turted.v1"}';

interface SockJsLink {
  readonly _url: string;
  readonly _on: LinkEvents;
  readonly _abort: AbortController;
  readonly _unsent: string[];
  _isSending?: boolean;
  _isOpen?: boolean;
}

export function openSockJs(base: string, on: LinkEvents): Link {
  const link: SockJsLink = {
    _url: `${base}/0/${crypto.getRandomValues(new Uint32Array(4)).join('')}/xhr_`,
    _on: on,
    _abort: new AbortController(),
    _unsent: [],
  };
  attend(link, receive(link));
  return { _send: (text) => send(link, text), _close: () => link._abort.abort() };
}

/** What fails is the end. */
function attend(link: SockJsLink, work: Promise<void>): void {
  work.catch((error) => end(link, BROKEN, String(error), error));
}

function end(link: SockJsLink, code: number, reason: string, error?: Error): void {
  link._abort.abort();
  link._on._closed({ code, reason, error });
}

function send(link: SockJsLink, text: string): void {
  link._unsent.push(text);
  if (!link._isSending) attend(link, sendAll(link));
}

async function sendAll(link: SockJsLink): Promise<void> {
  link._isSending = true;
  while (link._unsent.length) await post(link, 'send', JSON.stringify(link._unsent.splice(0, MESSAGES_MAX)));
  link._isSending = false;
}

/** Reads responses, one after the other, until the session ends. */
async function receive(link: SockJsLink): Promise<void> {
  for (;;) {
    const reader = (await post(link, 'streaming')).body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let messages = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const frames = (rest + value).split('\n');
      rest = frames.pop()!;
      for (const frame of frames) messages += take(link, frame[0], frame.slice(1));
    }
    // A proxy that ends each response before its first message must not be asked without a pause.
    if (!messages) throw 'no messages';
  }
}

/** Returns 1 if the frame opens the session or has messages. */
function take(link: SockJsLink, kind: string | undefined, rest: string): number {
  if (kind === 'o') {
    // If it opens twice, the server was started anew, and knows nothing of this session.
    if (link._isOpen) end(link, BROKEN, 'restarted');
    link._isOpen = true;
    send(link, HELLO);
  } else if (kind === 'a') for (const text of JSON.parse(rest)) link._on._message(text);
  else if (kind === 'c') {
    const [code, reason] = JSON.parse(rest);
    // In SockJS 1002 says that a request was broken off.
    end(link, code === 1002 ? BROKEN : code, reason);
  }
  return +(kind === 'o' || kind === 'a');
}

async function post(link: SockJsLink, path: string, body?: string): Promise<Response> {
  // A text needs no preflight, which a POST of JSON to another origin would.
  const response = await fetch(link._url + path, { method: 'POST', body: body!, signal: link._abort.signal });
  if (response.ok) return response;
  const reason = `HTTP ${response.status}: ${await response.text()}`;
  if (response.status !== 403) throw reason;
  throw new TurtedError('origin-refused', reason, 'allow_origins names whose pages may connect');
}
