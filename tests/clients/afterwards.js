'use strict';
// Ends what a test has opened, the last first: clients before the proxy, the proxy before the server.

const stacks = new WeakMap();

async function unwind(stack) {
  const failures = [];
  while (stack.length > 0) {
    try {
      await stack.pop()();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Runs `action` when the test `t` is over, even if it has failed. */
function afterwards(t, action) {
  if (!stacks.has(t)) {
    const stack = [];
    stacks.set(t, stack);
    t.after(() => unwind(stack));
  }
  stacks.get(t).push(action);
}

module.exports = { afterwards };
