'use strict';
// An app of express with `compression`, as it often stands before other servers, with turted behind it.

const http = require('node:http');
const { once } = require('node:events');
const compression = require('compression');
const express = require('express');
const { afterwards } = require('./afterwards');

/** `http://..` of an app that compresses what may be compressed, and forwards every request to `url`. */
async function compressed(t, url) {
  const app = express();
  app.use(compression({ threshold: 0 }));
  app.use((incoming, outgoing) => {
    const { method, headers } = incoming;
    const forwarded = http.request(url + incoming.url, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
      outgoing.on('close', () => answer.destroy());
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  const listener = app.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  afterwards(t, () => {
    listener.closeAllConnections();
    listener.close();
  });
  return `http://127.0.0.1:${listener.address().port}`;
}

module.exports = { compressed };
