// Whether the page wants a connection, and what it is told about it.

import { close, open } from './connection';
import type { Core } from './core';
import { emit, Own } from './emitter';
import { TurtedError } from './errors';
import { advance, stopSession } from './session';
import type { State, Why } from './types';

export interface StatePart {
  _state: State;
  _wantsOpen: boolean;
  /** The client was closed, by the page or by the server; not: it was never open. */
  _over: TurtedError | null;
  _isPlanned?: boolean;
}

/** Does what is to be done, once for all calls of one task: React mounts, unmounts and mounts its components in one. */
export function plan(core: Core): void {
  if (core._isPlanned) return;
  core._isPlanned = true;
  queueMicrotask(() => {
    core._isPlanned = false;
    const isOpen = core._state !== 'closed';
    if (core._wantsOpen && !isOpen) open(core);
    else if (!core._wantsOpen && isOpen) close(core, { code: 'closed' });
    else if (core._over) stopSession(core, core._over);
    advance(core);
  });
}

export function planOpen(core: Core): void {
  core._wantsOpen = true;
  core._over = null;
  plan(core);
}

export function planClose(core: Core, why = 'by the page'): void {
  core._wantsOpen = false;
  core._over ??= new TurtedError('closed', `closed: ${why}`);
  plan(core);
}

export function change(core: Core, state: State, why: Why = {}): void {
  if (state === core._state) return;
  core._state = state;
  if (state === 'closed') planClose(core, why.reason);
  emit(core, Own.State, state, why);
}
