// Who this client is: what it tells a session that does not know it, and where the next token comes from.

import { defer, type Deferred } from './answer';
import { backoff } from './backoff';
import { close } from './connection';
import type { Core } from './core';
import { tell } from './emitter';
import { TurtedError } from './errors';
import { forgetJoins, Standing } from './joins';
import { asError } from './refusal';
import { advance, identified, renew, request } from './session';
import { setTimer, stopTimer, type Timer } from './timer';
import type { IdentData, Proof, TokenReason } from './types';

const CALL_EVERY_MS = 1000;
const CALL_MS_MAX = 10_000;
// The server blocks an address after ten wrong IDENTs within a minute.
const REFUSED_MS = 10_000;
// What docs/protocol-v1.md asks for after `ident-unavailable` and `too-many-wrong-idents`: the same ident may be right later.
const LATER_MS = 60_000;
const LATER = /unavailable|wrong/;
// A token is renewed when this part of its life is over.
const RENEW_AT = 0.8;
// Tokens that are remembered because they were refused: one comes every ten seconds at most.
const REFUSED_MAX = 100;

/** A call of `ident`. */
interface Ask extends Deferred<string> {
  _data: IdentData;
}

export interface IdentityPart {
  /** What a session is told that does not know this client. */
  _known?: IdentData | undefined;
  /** What is sent as soon as possible: what `getToken` gave, or what was refused only for the moment. */
  _next?: IdentData | undefined;
  readonly _asks: Ask[];
  /** Why a token is wanted. */
  _wish?: TokenReason | undefined;
  /** Ends the call of `getToken` that is not answered. */
  _giveUp?: ((error: TurtedError) => void) | undefined;
  /** How many calls have failed one after the other. */
  _callFailures: number;
  /** Not before this time `getToken` is called. */
  _callAt: number;
  _isDecided?: boolean;
  _isSending?: boolean;
  /** The proofs that were refused, as JSON. */
  readonly _refused: Set<string>;
  /** Until `getToken` may be called; while it is called, until it is too late; until the same ident may be sent again. */
  readonly _pause: Timer;
  readonly _renewal: Timer;
}

export function ident(core: Core, data: IdentData): Promise<string> {
  const ask = { ...defer<string>(core), _data: data };
  core._asks.push(ask);
  return ask._promise;
}

/** Does the next step. Returns whether it is decided who the client is, which everything else waits for. */
export function advanceIdentity(core: Core): boolean {
  const [ask] = core._asks;
  if (core._isSending) {
    // The answer leads on.
  } else if (ask) send(core, ask._data, ask);
  else if (core._pause._handle) {
    // So does the timer.
  } else if (core._next) send(core, core._next);
  else if (core._wish) fetchToken(core);
  else if (core._isDecided) return true;
  else if (core._known) send(core, core._known);
  else if (core._getToken) fetchToken(core, 'first');
  else return (core._isDecided = true);
  return !!core._isDecided && !ask;
}

function send(core: Core, data: IdentData, ask?: Ask): void {
  core._isSending = true;
  request(core, { do: 'ident', data }, (reply) => {
    core._isSending = false;
    // The next answer will not say which channels were left because of this request.
    if (!reply) return void forgetJoins(core, undefined, Standing.Unsure);
    if (ask) core._asks.shift();
    else core._next = undefined;
    if (reply.ok) {
      core._wish = undefined;
      core._known = data;
      core._isDecided = true;
      watchExpiry(core, reply);
      identified(core, reply);
      ask?._resolve(reply.username);
    } else if (ask) ask._reject(asError(reply.error));
    else refuse(core, data, asError(reply.error));
    advance(core);
  });
}

function refuse(core: Core, data: IdentData, error: TurtedError): void {
  const isExpired = error.code === 'token-expired';
  if (!core._getToken || !isExpired) tell(core, error);
  if (LATER.test(error.code)) {
    core._next = data;
    setTimer(core._pause, LATER_MS, () => advance(core));
    return;
  }
  core._known = undefined;
  if (!core._getToken) {
    // What is missed from here on is told after the next ident of the page.
    core._gapOfUser ??= core._gap;
    core._isDecided = true;
    return;
  }
  if (core._refused.size >= REFUSED_MAX) core._refused.clear();
  core._refused.add(JSON.stringify(data));
  if (isExpired) core._wish = 'token-expired';
  else waitForAnother(core);
}

function waitForAnother(core: Core): void {
  core._wish = 'ident-refused';
  core._callAt = Date.now() + REFUSED_MS;
}

/** Asks `getToken` when it may be asked again. */
function fetchToken(core: Core, reason = core._wish!): void {
  core._wish = reason;
  setTimer(core._pause, Math.max(0, core._callAt - Date.now()), () => callGetToken(core, reason));
}

function callGetToken(core: Core, reason: TokenReason): void {
  core._callAt = Date.now() + CALL_EVERY_MS;
  new Promise<Proof>((resolve, reject) => {
    core._giveUp = reject;
    setTimer(core._pause, CALL_MS_MAX, () => reject(new TurtedError('token-late', 'after 10 s')));
    // Resolved with a promise that hangs, it could not be rejected any more.
    Promise.resolve(core._getToken!({ reason })).then(resolve, reject);
  })
    .finally(() => {
      core._giveUp = undefined;
      stopTimer(core._pause);
    })
    .then((proof) => takeProof(core, proof))
    .catch((error) => {
      core._callAt = Date.now() + backoff(core._callFailures++);
      tell(core, error);
      if (error?.code === 'unauthorized') close(core, error);
    })
    .then(() => advance(core));
}

function takeProof(core: Core, proof: Proof): void {
  const data = typeof proof === 'string' ? { ...core._options.ident, token: proof } : proof;
  if (typeof data !== 'object') throw TypeError('getToken: no token');
  core._callFailures = 0;
  // Another proof was accepted meanwhile, or the client was closed.
  if (!core._wish) return;
  core._wish = undefined;
  if (!data) {
    core._known = undefined;
    core._isDecided = true;
    // No request of the protocol takes a user away again.
    if (core._user) renew(core);
  } else if (core._refused.has(JSON.stringify(data))) waitForAnother(core);
  else core._next = data;
}

/** A proof was accepted that expires, or does not. */
export function watchExpiry(core: Core, { expires_in_ms }: { expires_in_ms?: number }): void {
  stopTimer(core._renewal);
  if (expires_in_ms === undefined || !core._getToken) return;
  setTimer(core._renewal, expires_in_ms * RENEW_AT, () => {
    core._wish = 'expires';
    advance(core);
  });
}

/** The user is gone, because the token has expired. Returns whether there will be another token. */
export function expireIdentity(core: Core): boolean {
  if (!core._getToken) return false;
  core._known = undefined;
  core._isDecided = false;
  core._wish ??= 'token-expired';
  return true;
}

/** The connection broke. */
export function pauseIdentity(core: Core): void {
  if (!core._giveUp) stopTimer(core._pause);
  stopTimer(core._renewal);
}

/** The client was closed. */
export function stopIdentity(core: Core, error: TurtedError): void {
  core._wish = undefined;
  core._giveUp?.(error);
  for (const { _reject } of core._asks.splice(0)) _reject(error);
}
