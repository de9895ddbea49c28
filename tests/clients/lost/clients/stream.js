'use strict';
// Event streams: the EventSource of npm in this process, and that of Chromium in a page. The request says user and
// channels, so they are known from the start. That of npm shows no position before its first event.

const { EventSource } = require('eventsource');
const { until } = require('../../waiting');
const { Teller } = require('./teller');

function address(url, { user, channels }) {
  const query = new URLSearchParams({ envelope: '1', user });
  for (const channel of channels) query.append('channel', channel);
  return `${url}/sse?${query}`;
}

class StreamClient extends Teller {
  constructor(journal, who, kind, { user, channels }) {
    super(journal, who, kind);
    this.answers = [this.asking('ident', user), ...channels.map((channel) => this.asking('join', channel))];
  }

  opened() {
    this.connected(this.answers.length > 0 ? 'new' : 'unknown');
    for (const answer of this.answers.splice(0)) answer(true);
  }

  message(data, position) {
    const { payload, via } = JSON.parse(data);
    this.received(payload, via, position);
  }

  gap() {
    this.tell({ do: 'gap' });
  }

  ready() {
    return until(() => this.isConnected, `the stream of ${this.kind}`, 30_000);
  }
}

class EventSourceClient extends StreamClient {
  constructor(journal, who, url, memberships) {
    super(journal, who, 'EventSource of npm', memberships);
    this.source = new EventSource(address(url, memberships));
    this.source.onopen = () => this.opened();
    this.source.onerror = () => this.lost();
    this.source.onmessage = ({ data, lastEventId }) => this.message(data, lastEventId);
    this.source.addEventListener('turted:gap', () => this.gap());
  }

  close() {
    this.end();
    this.source.close();
  }
}

/** An EventSource in a page of Chromium. What it tells comes in order. */
class PageClient extends StreamClient {
  constructor(journal, who, memberships) {
    super(journal, who, 'EventSource of Chromium', memberships);
    this.memberships = memberships;
  }

  /** Opens the stream in `page`, a page of playwright. */
  async open(page, url) {
    this.page = page;
    await page.exposeFunction('tell', (what, ...rest) => this[what](...rest));
    await page.evaluate((from) => {
      /* global tell, EventSource, window */
      window.source = new EventSource(from);
      window.source.onopen = () => tell('opened');
      window.source.onerror = () => tell('lost');
      window.source.onmessage = ({ data, lastEventId }) => tell('message', data, lastEventId);
      window.source.addEventListener('turted:gap', () => tell('gap'));
    }, address(url, this.memberships));
  }

  async close() {
    this.end();
    await this.page.evaluate(() => window.source.close());
  }
}

module.exports = { EventSourceClient, PageClient };
