// The state of one client, which all files share; each declares its own part of it, and is the only one to change that.
// Functions over one record instead of classes, and names that begin with `_`, which the build shortens, keep the
// library below 6 kB.

import type { ConnectionPart } from './connection';
import type { EmitterPart } from './emitter';
import type { IdentityPart } from './identity';
import type { JoinsPart } from './joins';
import type { OpenLink } from './link';
import type { SessionPart } from './session';
import type { StatePart } from './state';
import type { Options } from './types';

export interface Core extends EmitterPart, StatePart, ConnectionPart, SessionPart, IdentityPart, JoinsPart {
  readonly _options: Options;
  readonly _getToken: Options['getToken'];
}

/** `openers`: the transports, the preferred one first. */
export function createCore(openers: OpenLink[], options: Options): Core {
  return {
    _options: options,
    _getToken: options.getToken,
    _handlers: new Set(),
    _state: 'closed',
    _wantsOpen: options.connect !== false,
    _over: null,
    _openers: openers,
    _waits: 0,
    _failures: 0,
    _fallbackUntil: 0,
    _timer: {},
    _number: 0,
    _answered: new Map(),
    _echoes: new Set(),
    _silence: {},
    _patience: {},
    _known: options.getToken ? undefined : options.ident,
    _asks: [],
    _callFailures: 0,
    _callAt: 0,
    _refused: new Set(),
    _pause: {},
    _renewal: {},
    _channels: new Map(),
    _positions: new Set(),
  };
}
