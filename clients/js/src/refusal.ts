// The member `error` of a reply.

import { TurtedError } from './errors';

export interface Refusal {
  code: string;
  reason: string;
  rule?: string;
}

export function asError({ code, reason, rule }: Refusal): TurtedError {
  return new TurtedError(code, reason, rule);
}
