// What the two transports have in common: messages of turted.v1, both ways, until the end.

import type { Why } from './types';

/** A link may go on after its end, or after it was closed: whoever opened it looks which link it is. */
export interface LinkEvents {
  _message(text: string): void;
  /** The end, with its close code; 1006 if there was none. Never within the call that opens the link. */
  _closed(why: Why): void;
}

export interface Link {
  _send(text: string): void;
  _close(): void;
}

export type OpenLink = (on: LinkEvents) => Link;

/** The close code of an end that had none (RFC 6455 7.1.5). */
export const BROKEN = 1006;
