'use strict';
// A headless Chromium, and pages in it whose origin is not that of the server.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');
const { afterwards } = require('../afterwards');

const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Names for pages that come from other hosts, though this machine serves them.
  '--host-resolver-rules=MAP *.example 127.0.0.1',
];
// Chromium starts in two seconds, but takes much longer on a busy machine.
const LAUNCH_MS_MAX = 60_000;
const WAIT_MS_MAX = 20_000;
const LOOK_EVERY_MS = 10;

/** The files that pages may load from their own origin. */
const FILES = {
  '/page.js': path.join(__dirname, 'page.js'),
  '/v1.js': path.join(__dirname, '../v1.js'),
  '/client.js': path.join(__dirname, '../../../clients/js/dist/turted.js'),
  '/turted.js': require.resolve('turted-client'),
  '/sockjs.js': require.resolve('sockjs-client/dist/sockjs.js'),
};

function html(scripts) {
  const elements = scripts.map((url) => `<script src="${url}"></script>`);
  return `<!doctype html><meta charset="utf-8"><title>turted</title>${elements.join('')}`;
}

class Browser {
  /** `options` are options of playwright, such as `ignoreHTTPSErrors`. */
  async launch(options = {}) {
    assert.ok(fs.existsSync(EXECUTABLE), `${EXECUTABLE} is missing: apt-get install --no-install-recommends chromium`);
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-chromium-'));
    /** Scripts of a test, by path, that its pages may load as well. */
    this.scripts = new Map();
    this.context = await chromium.launchPersistentContext(this.directory, {
      executablePath: EXECUTABLE,
      args: ARGS,
      headless: true,
      ...options,
      timeout: LAUNCH_MS_MAX,
    });
    this.context.setDefaultTimeout(WAIT_MS_MAX);
    this.listener = http.createServer((request, response) => this.answer(request, response));
    this.listener.listen(0, '127.0.0.1');
    await once(this.listener, 'listening');
    this.origin = `http://127.0.0.1:${this.listener.address().port}`;
  }

  answer(request, response) {
    const url = new URL(request.url, this.origin);
    const file = FILES[url.pathname];
    const script = file ? fs.readFileSync(file) : this.scripts.get(url.pathname);
    response.statusCode = script || url.pathname === '/' ? 200 : 404;
    response.setHeader('Content-Type', `text/${script ? 'javascript' : 'html'}; charset=utf-8`);
    // Such a page loads files of other origins only if they say that they may be loaded.
    if (url.searchParams.has('isolated')) response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.end(script || html(url.searchParams.getAll('script')));
  }

  /** A blank page that closes with the test `t`. Errors in its scripts fail the test. */
  async blank(t) {
    const page = await this.context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error));
    afterwards(t, async () => {
      await page.close();
      if (errors.length > 0) throw errors[0];
    });
    return page;
  }

  /** A page with these scripts; `isolated` for one under a `Cross-Origin-Embedder-Policy`. */
  async page(t, scripts, ...options) {
    const page = await this.blank(t);
    const query = new URLSearchParams([...scripts.map((url) => ['script', url]), ...options.map((option) => [option, ''])]);
    await page.goto(`${this.origin}/?${query}`);
    return page;
  }

  /** A page of the server's own origin with these scripts; `url` is any address of the server. */
  async pageAt(t, url, scripts) {
    const page = await this.blank(t);
    await page.goto(url);
    for (const script of scripts) await page.addScriptTag({ url: `${this.origin}${script}` });
    return page;
  }

  async close() {
    await this.context?.close();
    this.listener?.close();
    this.listener?.closeAllConnections();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits in the page until `condition(argument)` is truthy. */
function until(page, condition, argument) {
  return page.waitForFunction(condition, argument, { polling: LOOK_EVERY_MS });
}

module.exports = { Browser, until };
