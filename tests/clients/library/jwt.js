'use strict';
// JSON Web Tokens, and a server that wants them without any leeway.

const { createHmac } = require('node:crypto');

const KEY = 'a shared secret of 32 bytes or more';
const BY_JWT = {
  auth: { method: 'jwt', algorithm: 'HS256', key: KEY, leeway: '1ms', channels_claim: 'channels' },
  '[channels]': { prefix: 'private.', join: 'claim' },
};

/** A token of `sub` that is good for `seconds`, which may be a fraction. */
function jwt(sub, seconds, claims = {}, key = KEY) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const exp = Date.now() / 1000 + seconds;
  const message = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, exp, channels: ['private.*'], ...claims })}`;
  return `${message}.${createHmac('sha256', key).update(message).digest('base64url')}`;
}

module.exports = { BY_JWT, jwt };
