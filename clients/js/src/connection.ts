// One connection to the server at a time, and the next one after it: which transport, when, and when no more.
// What is said on it is the matter of session.ts.

import { backoff } from './backoff';
import type { Core } from './core';
import { tell } from './emitter';
import { TurtedError } from './errors';
import type { Link, OpenLink } from './link';
import { listenToPage } from './page';
import { LOOKED_AT_MS_MAX, lostConnection, ping, takeMessage, takeWelcome } from './session';
import { change } from './state';
import { setPatientTimer, setTimer, stopTimer, type Timer } from './timer';
import type { Why } from './types';

// A handshake takes a few round trips. After this time something swallows it.
const WELCOME_MS_MAX = 5000;
// How long the second transport is kept before the first one is tried again.
const FALLBACK_MS = 300_000;
// What docs/protocol-v1.md asks for after 1013.
const BUSY = 1013;
const BUSY_MS = 30_000;

export interface ConnectionPart {
  /** The transports, the preferred one first. */
  readonly _openers: OpenLink[];
  _link?: Link | undefined;
  _attempt?: Link | undefined;
  /** How many waits and failures there were since the last welcome. */
  _waits: number;
  _failures: number;
  _fallbackUntil: number;
  /** The server has asked for this wait, so nothing shortens it. */
  _isBusy?: boolean;
  /** Ends listening to the page. */
  _page?: AbortController;
  /** Until the next attempt; while there is one, until it is given up; with a link by the second transport, until the first is tried. */
  readonly _timer: Timer;
}

export function open(core: Core): void {
  core._page = listenToPage(
    () => (core._link ? ping(core, LOOKED_AT_MS_MAX) : core._attempt || core._isBusy || connect(core)),
    // A WebSocket in that cache goes on answering pings, so its user would look online (tried in Chromium).
    () => (core._link || core._attempt) && lost(core, { code: 'pagehide' }),
    () => core._link || core._attempt || change(core, 'offline'),
  );
  connect(core);
}

/** Ends everything; no timer, listener or link is left. */
export function close(core: Core, why: Why): void {
  core._failures = core._waits = 0;
  core._page!.abort();
  drop(core);
  change(core, 'closed', why);
}

/** Gives the link up, because it is dead or has the wrong session, and connects again at once. */
export function reconnect(core: Core): void {
  drop(core);
  connect(core);
}

function drop(core: Core): void {
  stopTimer(core._timer);
  core._attempt?._close();
  core._link?._close();
  core._attempt = core._link = undefined;
  lostConnection(core);
}

function connect(core: Core): void {
  core._isBusy = false;
  change(core, 'connecting');
  attempt(core, +(Date.now() < core._fallbackUntil));
}

/** Opens a link by one of the transports. The one that is in use goes on until the new one has its welcome. */
function attempt(core: Core, index: number): void {
  const link: Link = (core._attempt = core._openers[index]!({
    _message: (text) => hear(core, link, index, text),
    _closed: (why) => {
      if (link === core._link) lost(core, why);
      else if (link === core._attempt) failed(core, index, why);
    },
  }));
  setPatientTimer(core._timer, WELCOME_MS_MAX, () => {
    link._close();
    failed(core, index, { code: 'no-welcome' });
  });
}

function hear(core: Core, link: Link, index: number, text: string): void {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return;
  }
  if (link === core._link) takeMessage(core, message);
  else if (link === core._attempt && message?.welcome) {
    core._link?._close();
    core._link = link;
    core._failures = core._waits = 0;
    settle(core, index);
    takeWelcome(core, message.welcome);
  }
}

/** An attempt is over, and there is a link. */
function settle(core: Core, index: number): void {
  core._attempt = undefined;
  stopTimer(core._timer);
  // Cuts do not prolong it.
  let ms = core._fallbackUntil - Date.now();
  if (ms <= 0) ms = FALLBACK_MS;
  core._fallbackUntil = index && Date.now() + ms;
  if (index) setTimer(core._timer, ms, () => attempt(core, 0));
}

function failed(core: Core, index: number, why: Why): void {
  // The first transport still does not work, and the second one goes on.
  if (core._link) return settle(core, 1);
  if (why.error instanceof TurtedError) tell(core, why.error);
  // After two failures in a row it may be the transport that fails, and not the server or the network.
  if (++core._failures % 3 === 2 && core._openers[1 - index] && !isMeant(why.code)) attempt(core, 1 - index);
  else lost(core, why);
}

function lost(core: Core, why: Why): void {
  core._isBusy = why.code === BUSY;
  if (!core._isBusy && isMeant(why.code)) return close(core, why);
  drop(core);
  const ms = core._isBusy ? BUSY_MS * (1 + Math.random() / 2) : backoff(core._waits++, core._options.retry);
  setTimer(core._timer, ms, () => connect(core));
  change(core, globalThis.navigator?.onLine === false ? 'offline' : 'waiting', why);
}

/** Does this close code say that the client is to stay away? (docs/protocol-v1.md) All but 1013 say: for good. */
function isMeant(code: any): boolean {
  return /^(10(0[237-9]|13)|40..)$/.test(code);
}
