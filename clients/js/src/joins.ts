// Which channels the page wants, and which ones the server has heard of. Joins are counted: two components share one,
// and the last `leave` leaves. What is wanted is compared with what was sent once per task, so a join, a leave and a
// join in between send one JOIN.

import { defer, type Deferred } from './answer';
import type { Core } from './core';
import { emit, Own, tell } from './emitter';
import { TurtedError } from './errors';
import { asError, type Refusal } from './refusal';
import { advance, fits, request } from './session';
import type { JoinOptions, Presence } from './types';

// What docs/protocol-v1.md allows in one request.
const CHANNELS_MAX = 128;
// What such a request has besides its channels is shorter.
const REQUEST_BYTES = 64;
// As many as a channel has in its history.
const POSITIONS_MAX = 1000;

/** What the server has of a channel. From `Unsure` on it may have it, from `Joining` on an answer is due. */
export const enum Standing {
  None,
  Refused,
  /** The connection broke before the answer. */
  Unsure,
  Joined,
  Joining,
  Leaving,
}

interface Waiting extends Deferred<void> {
  /** Whether it wants to hear who is there. */
  _wishes?: boolean | undefined;
}

interface Entry {
  /** How many calls of `join` were not followed by a `leave`. */
  _holds: number;
  _standing: Standing;
  _joining: Waiting[];
  _leaving: Waiting[];
  /** How many of its last events the page wants; how many of them are still to come. */
  _history?: number | undefined;
  _due?: number;
  /** Whether the page wants to hear who is there; and who is, unless they are too many. */
  _presence?: boolean | undefined;
  _users?: Set<string> | undefined;
  /** A channel that is joined has to be joined once more, to hear that; and whether this one was. */
  _isAskedAnew?: boolean;
  _wasJoined?: boolean;
  /** The position of the last one that came, and the one to go on from. */
  _at?: string | undefined;
  _since?: string | undefined;
}

export interface JoinsPart {
  readonly _channels: Map<string, Entry>;
  /** The positions of the last events, of which history may have some once more. */
  readonly _positions: Set<string>;
}

export function join(core: Core, channel: string, options?: JoinOptions): Promise<void> {
  const entry = entryOf(core, channel);
  const deferred: Waiting = defer<void>(core);
  deferred._wishes = options?.presence;
  entry._holds++;
  entry._history ??= options?.history;
  entry._joining.push(deferred);
  if (entry._standing === Standing.Refused) entry._standing = Standing.None;
  if (options?.presence && !entry._presence) {
    entry._presence = true;
    // The server has to be asked once more, also if it is being asked.
    entry._isAskedAnew = entry._standing >= Standing.Joined;
  }
  return deferred._promise;
}

export function leave(core: Core, channel: string): Promise<void> {
  const entry = entryOf(core, channel);
  const deferred = defer<void>(core);
  if (entry._holds) entry._holds--;
  entry._leaving.push(deferred);
  return deferred._promise;
}

function entryOf(core: Core, channel: string): Entry {
  const entry = core._channels.get(channel) ?? { _holds: 0, _standing: Standing.None, _joining: [], _leaving: [] };
  core._channels.set(channel, entry);
  return entry;
}

/** Sends what is missing, and settles what has come true. Returns whether no answer is due. */
export function advanceJoins(core: Core): boolean {
  const missing: string[] = [];
  let due = 0;
  for (const [channel, entry] of core._channels) {
    const standing = entry._standing;
    if (standing >= Standing.Joining) due++;
    else if (entry._holds) {
      settle(entry._leaving);
      // What wants to hear who is there waits for that answer.
      if (standing === Standing.Joined) settle(take(entry._joining, entry._isAskedAnew ? false : undefined));
      if (standing === Standing.Joined && !entry._isAskedAnew) continue;
      // Only one who joins gets history.
      else if (standing === Standing.Unsure && entry._history) {
        due++;
        sendLeave(core, channel, entry);
      } else if (standing !== Standing.Refused) missing.push(channel);
    } else if (standing >= Standing.Unsure) sendLeave(core, channel, entry);
    else {
      settle(entry._joining);
      settle(entry._leaving);
      core._channels.delete(channel);
    }
  }
  due += missing.length;
  while (missing.length) sendJoin(core, portion(core, missing));
  return !due;
}

/** As many channels as one request may name. */
function portion(core: Core, missing: string[]): string[] {
  const channels = missing.splice(0, 1);
  while (
    core._connection &&
    missing.length &&
    // What is no string is refused for itself, not together with others.
    typeof missing[0] === typeof channels[0] &&
    channels.length < CHANNELS_MAX &&
    entryOf(core, channels[0]!)._presence === entryOf(core, missing[0]!)._presence &&
    !entryOf(core, channels[0]!)._history &&
    !entryOf(core, missing[0]!)._history &&
    fits(core, JSON.stringify([channels, missing[0]]), REQUEST_BYTES)
  ) {
    channels.push(missing.shift()!);
  }
  return channels;
}

function sendJoin(core: Core, channels: string[]): void {
  const entries = channels.map((channel) => entryOf(core, channel));
  for (const entry of entries) {
    entry._wasJoined = entry._standing === Standing.Joined;
    entry._standing = Standing.Joining;
    entry._isAskedAnew = false;
  }
  const { _history, _since, _presence } = entries[0]!;
  const names = channels.length > 1 ? { channels } : { channel: channels[0], since: _since, history: _since ? undefined : _history };
  request(core, { do: 'join', ...names, presence: _presence }, (reply) => {
    const refused: { channel: string; error: Refusal }[] = reply?.refused ?? [];
    entries.forEach((entry, index) => {
      const refusal = refused.find(({ channel }) => channel === channels[index])?.error ?? reply?.error;
      // A channel without presence stays as it was, and is joined without it where that is wanted.
      const isWish = refusal?.code === 'presence-refused' || undefined;
      if (isWish || (refusal && entry._wasJoined)) entry._presence = undefined;
      if (refusal) refuse(core, entry, asError(refusal), isWish);
      if (!refusal || entry._wasJoined) entry._standing = reply && !refusal ? Standing.Joined : Standing.Unsure;
      else entry._standing = isWish && entry._holds ? Standing.None : Standing.Refused;
      if (reply) entry._due = reply.replayed;
    });
    advance(core);
  });
}

/** Rejects the joins that wait; with `wishes` those that want to hear who is there. */
function refuse(core: Core, entry: Entry, error: TurtedError, wishes?: boolean): void {
  const refused = take(entry._joining, wishes);
  if (!refused.length) tell(core, error);
  // What was refused was not joined, so it is not counted.
  entry._holds = Math.max(0, entry._holds - refused.length);
  for (const { _reject } of refused) _reject(error);
}

/** Takes out what waits: all of it, or what wants to hear who is there, or what does not. */
function take(waiting: Waiting[], wishes?: boolean): Waiting[] {
  const taken: Waiting[] = [];
  for (const one of waiting.splice(0)) (wishes === undefined || wishes === !!one._wishes ? taken : waiting).push(one);
  return taken;
}

/** The server has ended a join, which the page has to ask for anew. */
export function endJoin(core: Core, channel: string): void {
  const entry = core._channels.get(channel);
  if (entry?._standing !== Standing.Joined) return;
  entry._standing = Standing.None;
  entry._holds = entry._joining.length;
  refuse(core, entry, new TurtedError('removed', 'removed by an operator', channel));
}

function sendLeave(core: Core, channel: string, entry: Entry): void {
  entry._standing = Standing.Leaving;
  request(core, { do: 'leave', channel }, (reply) => {
    entry._standing = reply ? Standing.None : Standing.Unsure;
    advance(core);
  });
}

/** The server has lost these channels, or may have lost any (`Unsure`). Returns whether one was joined. */
export function forgetJoins(
  core: Core,
  channels: Iterable<string> = core._channels.keys(),
  standing: Standing.None | Standing.Unsure = Standing.None,
): boolean {
  let isMissed = false;
  for (const channel of channels) {
    const entry = core._channels.get(channel);
    if (!entry || entry._standing >= Standing.Joining) continue;
    isMissed ||= entry._standing === Standing.Joined;
    if (entry._standing === Standing.Joined) goOnFrom(entry, core._cursor);
    entry._standing = standing;
  }
  return isMissed;
}

/** The next join gets what came after a position; if history was under way, after that of its last event. */
function goOnFrom(entry: Entry, cursor: string | undefined): void {
  if (entry._history) entry._since = entry._due ? entry._at : cursor;
  entry._due = 0;
}

/** The session goes on, but not what was under way: channels with more history to come are joined once more. */
export function resumeHistory(core: Core): void {
  for (const entry of core._channels.values()) {
    if (!entry._due || entry._standing !== Standing.Joined) continue;
    goOnFrom(entry, undefined);
    entry._standing = Standing.Unsure;
  }
}

/** Notes an event of history, or a new one. Returns whether it is one of history that the page has seen already. */
export function note(core: Core, position: string | undefined, historyOf?: string): boolean {
  const entry = core._channels.get(historyOf!);
  if (entry?._due) {
    entry._due--;
    entry._at = position;
  }
  if (!position) return false;
  const isKnown = core._positions.has(position);
  core._positions.add(position);
  if (core._positions.size > POSITIONS_MAX) core._positions.delete(core._positions.values().next().value!);
  return isKnown && !!historyOf;
}

/** Adds up who is in a channel. */
export function notePresence(core: Core, told: Presence): void {
  const entry = core._channels.get(told.channel);
  if (!entry) return;
  const { users, joined, left = [] } = told;
  entry._users = users ? new Set(users) : joined && entry._users;
  for (const user of joined ?? []) entry._users?.add(user);
  for (const user of left) entry._users?.delete(user);
  emit(core, Own.Presence, { ...told, users: entry._users && [...entry._users] });
}

/** Another user, or another proof, may join what was refused before. */
export function retryJoins(core: Core): void {
  for (const entry of core._channels.values()) {
    if (entry._standing === Standing.Refused) entry._standing = Standing.None;
  }
}

/** The client was closed. */
export function stopJoins(core: Core, error: TurtedError): void {
  for (const entry of core._channels.values()) {
    settle(entry._leaving);
    // A join that was taken back is not missed.
    if (!entry._holds) settle(entry._joining);
    refuse(core, entry, error);
  }
}

function settle(waiting: Deferred<void>[]): void {
  for (const { _resolve } of waiting.splice(0)) _resolve();
}
