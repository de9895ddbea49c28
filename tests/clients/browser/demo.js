'use strict';
// The page /demo as a person sees and uses it.

const assert = require('node:assert/strict');
const { until } = require('./chromium');

class DemoPage {
  constructor(page) {
    this.page = page;
    this.said = [];
    page.on('console', (message) => this.said.push(`${message.type()}: ${message.text()}`));
  }

  /** Opens the demo at `url` in a page of `browser`, and waits until it can receive. `query` is what the address says. */
  static async open(t, browser, url, query = '') {
    const demo = new DemoPage(await browser.blank(t));
    await demo.page.goto(`${url}/demo${query}`);
    await demo.ready();
    return demo;
  }

  /** Waits until the page is connected and has joined its first channel. */
  async ready() {
    await this.state('connected');
    await this.page.locator('#channels li').first().waitFor();
  }

  state(expected) {
    return until(this.page, (state) => document.getElementById('state').dataset.state === state, expected);
  }

  /** The rows of the log: `{ event, reason, text }`, or `{ text }` for what is no event. */
  rows() {
    return this.page.$$eval('#events > *', (rows) =>
      rows.map((row) => {
        const [event, reason] = [...row.querySelectorAll('.about > :not(time)')].map((part) => part.textContent);
        return event === undefined ? { text: row.textContent } : { event, reason, text: row.lastChild.textContent };
      }),
    );
  }

  /** Waits until the last event is this one, and returns the rows of events. */
  async eventsUntil(event) {
    await until(this.page, (event) => [...document.querySelectorAll('#events b')].at(-1)?.textContent === event, event);
    return (await this.rows()).filter((row) => row.event !== undefined);
  }

  /** Fills in fields of the push. */
  async fill(fields) {
    for (const [name, value] of Object.entries(fields)) await this.page.fill(`#push [name=${name}]`, value);
  }

  /** Fills in fields of the push, sends it, and returns what is answered. */
  async push(fields = {}) {
    await this.fill(fields);
    await this.page.evaluate(() => document.getElementById('answer').replaceChildren());
    await this.page.click('#push button.main');
    await until(this.page, () => document.getElementById('answer').textContent !== '');
    return this.page.textContent('#answer');
  }

  /** The same push from elsewhere. */
  async snippet(language) {
    await this.page.check(`[name=language][value=${language}]`, { force: true });
    return this.page.textContent('#snippet');
  }

  /** Checks that the console of the page is empty. */
  assertSilent() {
    assert.deepEqual(this.said, []);
  }
}

module.exports = { DemoPage };
