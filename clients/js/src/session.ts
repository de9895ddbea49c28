// The conversation in turted.v1 (docs/protocol-v1.md): requests and their replies, and what the client gets back when the
// connection was away. A session is kept in memory alone: two pages that share one would take it from each other.

import { defer, type Deferred } from './answer';
import { reconnect } from './connection';
import type { Core } from './core';
import { emit, Own, tell } from './emitter';
import { TurtedError } from './errors';
import { advanceIdentity, expireIdentity, pauseIdentity, stopIdentity, watchExpiry } from './identity';
import {
  advanceJoins, endJoin, forgetJoins, note, notePresence, resumeHistory, retryJoins, Standing, stopJoins,
} from './joins';
import { isVisible } from './page';
import { asError, type Refusal } from './refusal';
import { change } from './state';
import { setPatientTimer, setTimer, stopTimer, type Timer } from './timer';
import type { Gap } from './types';

// How long an answer may take before the connection counts as dead; and if people look at the page, which must not
// look alive for long if it is dead.
const ANSWER_MS_MAX = 10_000;
export const LOOKED_AT_MS_MAX = 3000;

const EXPIRED = 'token-expired';

const enum Phase {
  Down,
  Resuming,
  Up,
}

/** A call of `echo`. */
interface Echo extends Deferred<any> {
  _data: unknown;
  _isSent: boolean;
}

type Answered = (reply: any) => void;

export interface SessionPart {
  _user?: string | undefined;
  /** The name of the connection in the admin API. A server that does not say it knows no `channels` and no `left`. */
  _connection?: string;
  _recovered?: boolean;
  /** The secret by which a later connection resumes this session. */
  _secret?: string | undefined;
  _cursor?: string | undefined;
  _phase?: Phase;
  _gap?: Gap | undefined;
  /** What is told when the page has brought the user back, which nobody else can. */
  _gapOfUser?: Gap | undefined;
  /** What the server said first on this connection. */
  _welcome?: any;
  _number: number;
  readonly _answered: Map<number, Answered>;
  readonly _echoes: Set<Echo>;
  readonly _silence: Timer;
  readonly _patience: Timer;
}

export function echo(core: Core, data: unknown): Promise<any> {
  const echo = { ...defer<any>(core), _data: data, _isSent: false };
  core._echoes.add(echo);
  return echo._promise;
}

/** Something has changed: does whatever can be done. */
export function advance(core: Core): void {
  if (core._phase !== Phase.Up || !advanceIdentity(core)) return;
  change(core, 'connected');
  const isSettled = advanceJoins(core);
  for (const echo of core._echoes) sendEcho(core, echo);
  if (!core._gap || !isSettled) return;
  emit(core, Own.Gap, core._gap);
  core._gap = undefined;
}

function sendEcho(core: Core, echo: Echo): void {
  if (echo._isSent) return;
  echo._isSent = true;
  request(core, { do: 'echo', data: echo._data }, (reply) => {
    echo._isSent = !!reply;
    if (!reply) return;
    core._echoes.delete(echo);
    if (reply.ok) echo._resolve(reply.data);
    else echo._reject(asError(reply.error));
  });
}

/** Sends a request. The answer is undefined if the connection breaks before it: then the request is repeated. */
export function request(core: Core, message: object, answered: Answered): void {
  try {
    const text = JSON.stringify({ id: ++core._number, ...message });
    // The server would end the connection for good.
    if (!fits(core, text)) throw 'too long (limits.message_bytes)';
    core._answered.set(core._number, answered);
    core._link!._send(text);
  } catch (error) {
    queueMicrotask(() => answered({ error: { code: 'message-invalid', reason: String(error) } }));
  }
}

/** Does the server accept a message of this text, and so many bytes more? */
export function fits(core: Core, text: string, bytesMore = 0): boolean {
  return new Blob([text]).size + bytesMore <= core._welcome.message_bytes_max;
}

export function takeWelcome(core: Core, welcome: any): void {
  lostConnection(core);
  core._connection = welcome.connection;
  core._welcome = welcome;
  watch(core);
  if (!core._secret) return begin(core);
  core._phase = Phase.Resuming;
  expectAnswer(core);
  request(core, { do: 'resume', session: core._secret, cursor: core._cursor }, (reply) => {
    if (reply?.ok) resumed(core, reply);
    else if (reply) begin(core, reply.error);
  });
}

function begin(core: Core, refusal?: Refusal): void {
  if (refusal) missed(core, refusal);
  // With the cursor that the client had.
  forgetJoins(core);
  ({ session: core._secret, cursor: core._cursor, username: core._user } = core._welcome);
  core._recovered = core._isDecided = false;
  up(core);
}

function resumed(core: Core, reply: any): void {
  core._secret = reply.session;
  core._connection = reply.connection;
  core._recovered = true;
  resumeHistory(core);
  watchExpiry(core, reply);
  if (reply.left) left(core, reply.left);
  // The connection broke before it could tell that the token has expired, and which channels it has lost.
  if (core._connection && core._user && !reply.username) expired(core, core._channels.keys());
  else core._user = reply.username ?? core._user;
  up(core);
}

function up(core: Core): void {
  core._phase = Phase.Up;
  advance(core);
}

/** An ident was accepted. */
export function identified(core: Core, reply: any): void {
  core._user = reply.username;
  core._gap ??= core._gapOfUser;
  core._gapOfUser = undefined;
  retryJoins(core);
  left(core, reply.left);
}

/** Begins a session anew, as nobody. */
export function renew(core: Core): void {
  core._secret = undefined;
  missed(core, { code: 'nobody', reason: 'lost' });
  reconnect(core);
}

/** The session has lost these channels. A server that cannot say which ones may have taken any. */
function left(core: Core, channels: Iterable<string> = []): void {
  const isMissed = core._connection ? forgetJoins(core, channels) : forgetJoins(core, undefined, Standing.Unsure);
  if (isMissed) missed(core, { code: 'left', reason: 'lost' });
}

function missed(core: Core, gap: Gap): void {
  core._gap ??= gap;
}

export function takeMessage(core: Core, message: any): void {
  stopTimer(core._patience);
  const { reply, event, payload, via, cursor, position, replayed, presence, error } = message;
  if (reply) {
    const answered = core._answered.get(reply);
    core._answered.delete(reply);
    answered?.(message);
  } else if (error) refused(core, error, message.left);
  else if (message.left) removed(core, message.left);
  else if (presence) notePresence(core, presence);
  // Events before the reply to `resume` belong to the session of the welcome, and come again.
  else if (event && core._phase === Phase.Up) {
    if (!replayed) heard(core, cursor);
    if (note(core, cursor ?? position, replayed && via.channel)) return;
    emit(core, event, payload, { event, via, cursor, ...(replayed && { replayed, position }) });
  }
}

/** An operator has taken the client out of channels. */
function removed(core: Core, channels: string[]): void {
  for (const channel of channels) endJoin(core, channel);
  advance(core);
}

/** Something that the client did not ask for. */
function refused(core: Core, refusal: Refusal, channels?: string[]): void {
  if (refusal.code === EXPIRED) expired(core, channels);
  else tell(core, asError(refusal));
  advance(core);
}

function expired(core: Core, channels?: Iterable<string>): void {
  const error = new TurtedError(EXPIRED);
  core._user = undefined;
  missed(core, error);
  left(core, channels);
  if (expireIdentity(core)) return;
  core._gapOfUser = core._gap;
  core._gap = undefined;
  tell(core, error);
}

function heard(core: Core, cursor: string | undefined): void {
  core._cursor = cursor ?? core._cursor;
  watch(core);
}

// Only events and the answers to pings move the cursor, so only they count here: a cursor that stands still for longer
// than the server keeps sessions would be a gap after the next cut. A hidden page leaves the network alone.
function watch(core: Core): void {
  setTimer(core._silence, core._welcome.ping_interval_ms, () => (isVisible() ? ping(core) : watch(core)));
}

/** Asks for a sign of life. */
export function ping(core: Core, ms?: number): void {
  expectAnswer(core, ms);
  request(core, { do: 'ping' }, (reply) => reply && heard(core, reply.cursor));
}

function expectAnswer(core: Core, ms = ANSWER_MS_MAX): void {
  setPatientTimer(core._patience, ms, () => reconnect(core));
}

export function lostConnection(core: Core): void {
  core._phase = Phase.Down;
  stopTimer(core._silence);
  stopTimer(core._patience);
  for (const answered of core._answered.values()) answered(undefined);
  core._answered.clear();
  pauseIdentity(core);
}

/** The client was closed. */
export function stopSession(core: Core, error: TurtedError): void {
  stopIdentity(core, error);
  stopJoins(core, error);
  for (const { _reject } of core._echoes) _reject(error);
  core._echoes.clear();
}
