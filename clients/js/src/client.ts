// The client as a page sees it.

import { createCore, type Core } from './core';
import { listen, Own, unlisten } from './emitter';
import { ident } from './identity';
import { join, leave } from './joins';
import type { OpenLink } from './link';
import { echo } from './session';
import { openSockJs } from './sockjs';
import { plan, planClose, planOpen } from './state';
import type * as T from './types';
import { openWebSocket } from './websocket';

/** `Events`: the payload of each event by its name. */
export class TURTED<Events extends object = Record<string, any>> {
  readonly #core: Core;

  /** @param url where the server is, without the path of a transport; the origin of the page if it is left out */
  constructor(url: string | URL = '/', options: T.Options = {}) {
    this.#core = createCore(openers(url, options), options);
    plan(this.#core);
  }

  get state(): T.State {
    return this.#core._state;
  }

  /** The user that this client is. */
  get user(): string | undefined {
    return this.#core._user;
  }

  /** The name of the connection in the admin API of the server. */
  get connection(): string | undefined {
    return this.#core._connection;
  }

  /** The last connection went on where the one before it broke. */
  get recovered(): boolean {
    return !!this.#core._recovered;
  }

  /** Calls `handler` with each event of this name; `'*'` is every event. Returns what takes the handler away again. */
  on<Name extends keyof Events & string>(event: Name, handler: T.Handler<Events[Name], Name>): T.Off;
  on(event: '*', handler: T.Handler<Events[keyof Events], keyof Events & string>): T.Off;
  on(event: string, handler: (...args: any[]) => unknown): T.Off {
    return listen(this.#core, event, handler);
  }

  /** Like `on`, for the next event only. */
  once<Name extends keyof Events & string>(event: Name, handler: T.Handler<Events[Name], Name>): T.Off;
  once(event: '*', handler: T.Handler<Events[keyof Events], keyof Events & string>): T.Off;
  once(event: string, handler: (...args: any[]) => unknown): T.Off {
    return listen(this.#core, event, handler, true);
  }

  /** Takes a handler away, or all handlers of this event. */
  off(event: (keyof Events & string) | '*', handler?: (...args: any[]) => unknown): void {
    unlisten(this.#core, event, handler);
  }

  /** Tells of each new state. */
  onState(handler: T.StateHandler): T.Off {
    return listen(this.#core, Own.State, handler);
  }

  /** Tells that events may have been missed, once everything is joined again: fetch anew what the page shows. */
  onGap(handler: T.GapHandler): T.Off {
    return listen(this.#core, Own.Gap, handler);
  }

  /** Tells who is in the channels that were joined with `presence`: all of it, and again when it changes. */
  onPresence(handler: T.PresenceHandler): T.Off {
    return listen(this.#core, Own.Presence, handler);
  }

  /** Tells of errors that no promise took. Without a handler they go to the console. */
  onError(handler: T.ErrorHandler): T.Off {
    return listen(this.#core, Own.Error, handler);
  }

  /** Says who the client is. Resolves with the name of the user. */
  ident(data: T.IdentData): Promise<string> {
    return ident(this.#core, data);
  }

  /** Receives the events of a channel, until there was a `leave` for each `join`. */
  join(channel: string, options?: T.JoinOptions): Promise<void> {
    return join(this.#core, channel, options);
  }

  /** Takes one `join` back. */
  leave(channel: string): Promise<void> {
    return leave(this.#core, channel);
  }

  /** Resolves with `data`, as the server sends it back. */
  echo<Data>(data: Data): Promise<Data> {
    return echo(this.#core, data);
  }

  /** Connects again after `close()`, or for the first time with `connect: false`. */
  connect(): void {
    planOpen(this.#core);
  }

  /** Ends the connection. Handlers and joins stay, for the next `connect()`. */
  close(): void {
    planClose(this.#core);
  }
}

/** The transports in the order of the options. */
function openers(url: string | URL, options: T.Options): OpenLink[] {
  const { WebSocket = globalThis.WebSocket, transports, emit, send, paths: { websocket = '/ws', sockjs = '/turted' } = {} } = options as any;
  const base = new URL(String(url).replace(/^ws/i, 'http'), globalThis.location?.href).href.replace(/\/?([?#].*)?$/, '');
  const known: Record<string, OpenLink | undefined> = {
    websocket: WebSocket && ((on) => openWebSocket(WebSocket, 'ws' + base.slice(4) + websocket, on)),
    sockjs: (on) => openSockJs(base + sockjs, on),
  };
  const usable = (transports ?? Object.keys(known)).flatMap((name: string) => known[name] ?? []);
  // Who comes from turted-client passes a socket; node 20 has no WebSocket of its own.
  if (emit || send || !usable.length) throw TypeError('the option WebSocket is a class, no socket');
  return usable;
}
