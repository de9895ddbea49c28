// The types of the public interface.

import type { TurtedError } from './errors';

/** What the server asks of a user: a name, a token, a password, whatever its authenticator wants. */
export type IdentData = Record<string, unknown>;

/** Why `getToken` is called. */
export type TokenReason = 'first' | 'expires' | 'token-expired' | 'ident-refused';

/** A token, or all the data of an `ident`. `null`: this client is nobody. */
export type Proof = string | IdentData | null;

export type TransportName = 'websocket' | 'sockjs';

export interface Options {
  /** The user of this client. With `getToken`: what is sent along with each token. */
  ident?: IdentData;
  /** Gives a new token: before the first ident, when a token is about to expire, and when one was refused. */
  getToken?: (why: { reason: TokenReason }) => Proof | Promise<Proof>;
  /** How to connect: the first one, and the second one while the first does not work. */
  transports?: readonly TransportName[];
  /** The class of WebSockets, where there is no global one: that of the package `ws` in node 20. */
  WebSocket?: WebSocketClass;
  /** False: connect only when `connect()` is called. */
  connect?: boolean;
  /** The paths below the URL, if the server has others than `/ws` and `/turted`. */
  paths?: { websocket?: string; sockjs?: string };
  /** The shortest and the longest wait before the client connects again, in milliseconds: 1,000 and 30,000. */
  retry?: { min?: number; max?: number };
}

/** As much of a WebSocket as the client uses. */
export interface WebSocketLike {
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type WebSocketClass = new (url: string) => WebSocketLike;

/** Why this client receives an event. */
export type Via = { user: string } | { channel: string } | { broadcast: true };

/** What a handler learns beside the payload; it is also `this` in the handler. */
export interface Meta<Name extends string = string> {
  event: Name;
  via: Via;
  /** The position of the event in the log of the server, if it keeps one. */
  cursor: string | undefined;
  /** The event is of the history of a channel (`join` with `history`). */
  replayed?: true;
  /** The position of such an event. */
  position?: string;
}

export interface JoinOptions {
  /** How many of the last events of the channel come first, as far as the server keeps them. */
  history?: number;
  /** Tells who is in the channel, by `onPresence`. */
  presence?: boolean;
}

/** Who is in a channel. */
export interface Presence {
  channel: string;
  /** All users; undefined if they are too many to be named. */
  users?: string[] | undefined;
  /** What has changed, unless the server has told all of it. */
  joined?: string[];
  left?: string[];
  /** How many users there are, and how many connections that are no user. */
  count: number;
  anonymous: number;
  /** Of how many nodes of a cluster is not known who is there; undefined if there are none. */
  silent?: number;
}

export type Handler<Payload, Name extends string = string> = (
  this: Meta<Name>,
  payload: Payload,
  meta: Meta<Name>,
) => unknown;

export type State = 'connecting' | 'connected' | 'waiting' | 'offline' | 'closed';

/** Why the state is what it is: the close code of the connection, or a code of the client. */
export interface Why {
  code?: number | string;
  reason?: string;
  /** What failed, if there is more to say. */
  error?: Error | undefined;
}

/** Why events may have been missed. */
export interface Gap {
  code: string;
  reason: string;
}

export type StateHandler = (state: State, why: Why) => unknown;
export type GapHandler = (gap: Gap) => unknown;
export type PresenceHandler = (presence: Presence) => unknown;
/** Receives every error that no promise took: a `TurtedError`, or what a handler threw. */
export type ErrorHandler = (error: TurtedError | Error) => unknown;

/** Takes a handler away again. */
export type Off = () => void;
