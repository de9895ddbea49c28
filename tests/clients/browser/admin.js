'use strict';
// The page of operators as a person sees and uses it.

const assert = require('node:assert/strict');
const { until } = require('./chromium');

class AdminPage {
  constructor(page) {
    this.page = page;
    this.said = [];
    this.asked = [];
    page.on('console', (message) => this.said.push(`${message.type()}: ${message.text()}`));
    page.on('request', (request) => this.asked.push(request.url()));
  }

  /** Opens the page at `url` in a page of `browser`. */
  static async open(t, browser, url) {
    const admin = new AdminPage(await browser.blank(t));
    await admin.page.goto(url);
    return admin;
  }

  /** The same, once the page watches. */
  static async watching(t, browser, url) {
    const admin = await AdminPage.open(t, browser, url);
    await admin.state('watching');
    return admin;
  }

  /** Waits until the live view says this. */
  state(expected) {
    return until(this.page, (text) => document.getElementById('live-state').textContent.startsWith(text), expected);
  }

  /** Waits until an element has this text somewhere. */
  says(id, text) {
    return until(this.page, ([id, text]) => document.getElementById(id).textContent.includes(text), [id, text]);
  }

  async useToken(token) {
    await this.page.fill('#token-form [name=token]', token);
    await this.page.press('#token-form [name=token]', 'Enter');
  }

  /** Chooses a list, and waits until it has so many entries. */
  async list(kind, count) {
    await this.page.check(`[name=kind][value=${kind}]`, { force: true });
    await this.page.click('#search button');
    await until(this.page, (count) => document.getElementById('list').childElementCount === count, count);
    return this.page.$$eval('#list button > :first-child', (names) => names.map((name) => name.textContent));
  }

  /** Shows the entry of a list with this name. */
  async show(name) {
    await this.page.locator('#list button', { has: this.page.locator('span:first-child', { hasText: name }) }).first().click();
    await until(this.page, (name) => document.getElementById('entry-title').textContent.endsWith(name) && document.querySelector('#entry dl') !== null, name);
  }

  /** The rows of the live view, the newest first: `[type, summary]`. */
  rows() {
    return this.page.$$eval('#rows .row', (rows) => rows.map(({ children: [, type, text] }) => [type.textContent, text.textContent]));
  }

  /** Waits until a row has this type and this text. */
  async row(type, text = '') {
    const isThere = ([type, text]) =>
      [...document.querySelectorAll('#rows .row')].some(({ children: [, own, said] }) => own.textContent === type && said.textContent.includes(text));
    await until(this.page, isThere, [type, text]);
    return this.page.locator('#rows .row', { hasText: text }).filter({ hasText: type }).first();
  }

  /** Does what a button of the actions does: the first click asks, the second does it, once it cannot be that of a
   * double click. */
  async act(label) {
    const button = () => this.page.locator('#actions button, #entry button.danger', { hasText: label }).first();
    await button().click();
    await this.page.locator('button[aria-disabled=false]', { hasText: 'Sure?' }).click();
    await until(this.page, () => document.getElementById('action-answer').textContent !== '');
    return this.page.textContent('#action-answer');
  }

  /** Checks that the console of the page is empty. */
  assertSilent() {
    assert.deepEqual(this.said, []);
  }
}

module.exports = { AdminPage };
