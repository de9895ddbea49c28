'use strict';
// Waits for something to happen, for a limited time: no test sleeps for a fixed time.

// Long enough for a busy machine: only a test that fails waits for so long.
const WAIT_MS_MAX = 20_000;
const LOOK_EVERY_MS = 4;
const ACT_EVERY_MS = 50;

/** Resolves as soon as `condition()`, or what it promises, is truthy, with its value. */
async function until(condition, what = condition.toString(), ms = WAIT_MS_MAX) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for: ${typeof what === 'function' ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Resolves as soon as `condition()` is truthy, and calls `action()` again and again until then. */
async function untilDoing(condition, action, what) {
  const again = setInterval(action, ACT_EVERY_MS);
  try {
    return await until(condition, what);
  } finally {
    clearInterval(again);
  }
}

/** The first argument of the next `event` of `emitter`. */
function next(emitter, event, ms = WAIT_MS_MAX) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.off(event, arrived);
      reject(new Error(`waited ${ms} ms in vain for the event ${event}`));
    }, ms);
    function arrived(value) {
      clearTimeout(timer);
      resolve(value);
    }
    emitter.once(event, arrived);
  });
}

/** What the server passes to the acknowledgement of `socket.emit(event, ...args, ack)`. */
function acknowledged(socket, event, ...args) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no acknowledgement of ${event}`)), WAIT_MS_MAX);
    socket.emit(event, ...args, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

module.exports = { until, untilDoing, next, acknowledged };
