'use strict';
// A page that only listens: the EventSource of npm at /sse. Whenever it changes its user or its channels it
// sends a new request, with the position up to which it has everything.

const assert = require('node:assert/strict');
const { EventSource } = require('eventsource');
const { afterwards } = require('./afterwards');
const { request } = require('./http');
const { Listener } = require('./listener');
const { until } = require('./waiting');

class SseTab extends Listener {
  constructor(url) {
    super();
    this.url = url;
    this.channels = new Set();
    this.headers = {};
    this.gaps = 0;
    this.position = '';
    this.source = { close() {} };
    this.open();
  }

  address(channels) {
    const query = new URLSearchParams({ envelope: '1', lastEventId: this.position });
    if (this.position === '') query.delete('lastEventId');
    for (const channel of channels) query.append('channel', channel);
    return `${this.url}/sse?${query}`;
  }

  open() {
    this.source.close();
    const { headers } = this;
    const source = new EventSource(this.address(this.channels), {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    });
    this.source = source;
    source.onerror = () => this.losses++;
    source.onmessage = (message) => {
      this.position = message.lastEventId;
      this.events.push(JSON.parse(message.data));
    };
    source.addEventListener('turted:gap', () => this.gaps++);
    return until(() => this.source !== source || source.readyState === EventSource.OPEN, 'a stream');
  }

  ident(username) {
    this.headers = { Authorization: `Basic ${Buffer.from(`${username}:`).toString('base64')}` };
    return this.open();
  }

  join(channel) {
    this.channels.add(channel);
    return this.open();
  }

  leave(channel) {
    this.channels.delete(channel);
    return this.open();
  }

  /** Returns why the page may not join `channel`. */
  async refused(channel) {
    const { status, body } = await request(this.address([channel]), { headers: this.headers });
    assert.equal(status, 400);
    return body;
  }

  /** Waits until the stream is lost. Returns a function that waits until it is back. */
  async gone() {
    await until(() => this.source.readyState !== EventSource.OPEN, 'the end of the stream');
    return () => until(() => this.source.readyState === EventSource.OPEN, 'the stream');
  }

  close() {
    this.source.close();
  }
}

function openEventSource(t, url) {
  const tab = new SseTab(url);
  afterwards(t, () => tab.close());
  return tab;
}

module.exports = { EventSource, openEventSource };
