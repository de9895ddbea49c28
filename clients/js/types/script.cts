// The same package for CommonJS.

import client = require('@turted/client');

const turted = new client.TURTED('https://push.example');
turted.onError((error) => error instanceof client.TurtedError && error.code);
// @ts-expect-error: there is no default
client.default;
