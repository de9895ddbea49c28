// Handlers by name. A handler that throws is reported, and stops no other.

import type { Core } from './core';
import type { Off } from './types';

type Call = (this: any, ...args: any[]) => unknown;

/** The name of handlers that hear every event. */
const ALL = '*';

/** What handlers hear of besides events: no string, because a backend may give an event any name. */
export const enum Own {
  State,
  Gap,
  Error,
  Presence,
}

interface Entry {
  _name: string | Own;
  _handler: Call;
  _isOnce: boolean;
}

export interface EmitterPart {
  readonly _handlers: Set<Entry>;
}

export function listen(core: Core, name: string | Own, handler: Call, isOnce = false): Off {
  if (typeof handler !== 'function') throw TypeError('no handler');
  const entry = { _name: name, _handler: handler, _isOnce: isOnce };
  core._handlers.add(entry);
  return () => void core._handlers.delete(entry);
}

/** Takes one handler away, or all of `name`. */
export function unlisten(core: Core, name: string, handler?: Call): void {
  for (const entry of core._handlers) {
    if (entry._name === name && (!handler || entry._handler === handler)) core._handlers.delete(entry);
  }
}

/** Calls the handlers of `name` in the order in which they came. Returns false if there is none. */
export function emit(core: Core, name: string | Own, ...args: unknown[]): boolean {
  let isHeard = false;
  // A handler of errors that fails must not hear of itself.
  const failed = (error: unknown) => (name === Own.Error ? console.error(error) : tell(core, error));
  for (const entry of [...core._handlers]) {
    const isMeant = entry._name === name || (entry._name === ALL && typeof name === 'string');
    // A handler before this one may have taken it away.
    if (!isMeant || !core._handlers.has(entry)) continue;
    isHeard = true;
    if (entry._isOnce) core._handlers.delete(entry);
    try {
      const result = entry._handler.apply(args[1], args);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
  return isHeard;
}

/** Tells of an error that no promise took. */
export function tell(core: Core, error: unknown): void {
  // The page knows that it has closed the client.
  if (error !== core._over && !emit(core, Own.Error, error)) console.error(error);
}
