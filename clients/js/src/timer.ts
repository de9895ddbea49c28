// Timers that can be stopped, and that know how far they can be trusted.

// Longer timers of browsers and of node fire at once: 2^31 - 1 ms are 24.8 days.
const MS_MAX = 2 ** 31 - 1;
// A timer that is later than this belongs to a page that was frozen or hidden, or to a machine that slept.
const LATE_MS = 1000;

export interface Timer {
  /** Undefined unless the timer is set. */
  _handle?: ReturnType<typeof setTimeout> | undefined;
}

/** Runs `action` after `ms`, instead of what was set before. */
export function setTimer(timer: Timer, ms: number, action: () => void): void {
  stopTimer(timer);
  timer._handle = setTimeout(
    () => {
      timer._handle = undefined;
      action();
    },
    Math.min(ms, MS_MAX),
  );
}

/**
 * Like `setTimer`, for giving something up. If the timer fires late, what it waits for may have arrived and only be
 * waiting for its turn behind the timer. So it waits once more.
 */
export function setPatientTimer(timer: Timer, ms: number, action: () => void): void {
  const late = Date.now() + ms + LATE_MS;
  setTimer(timer, ms, () => (Date.now() > late ? setTimer(timer, ms, action) : action()));
}

export function stopTimer(timer: Timer): void {
  clearTimeout(timer._handle);
  timer._handle = undefined;
}
