// How long to wait before the next try.

/** Twice as long each time, and up to half of it less: clients of one server must not come back all at once. */
export function backoff(tries: number, { min = 1000, max = 30_000 }: { min?: number; max?: number } = {}): number {
  return Math.min(min * 2 ** tries, max) * (1 - Math.random() / 2);
}
