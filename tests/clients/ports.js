'use strict';
// Ports for programs that cannot choose a free one themselves.

const net = require('node:net');

// The ports below those that the kernel gives to who asks for any (`ip_local_port_range`): no connection, and no server of
// another test, has one of these before the program does, also after it was killed.
const FIRST = 10_000;
const COUNT = 20_000;

/** Holds a port; `null` if it is not free. */
function hold(port) {
  return new Promise((resolve) => {
    const holder = net.createServer().once('error', () => resolve(null));
    holder.listen(port, '127.0.0.1', () => resolve(holder));
  });
}

/** So many ports that are free. All are held meanwhile, so that they differ. */
async function freePorts(count, below = (limit) => Math.floor(Math.random() * limit)) {
  const holders = [];
  while (holders.length < count) {
    const holder = await hold(FIRST + below(COUNT));
    if (holder) holders.push(holder);
  }
  const ports = holders.map((holder) => holder.address().port);
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}

/** One port that is free. */
async function freePort(below) {
  const [port] = await freePorts(1, below);
  return port;
}

module.exports = { freePort, freePorts };
