'use strict';
// The hook and the composable of docs/client.md, as they stand there, in pages of Chromium.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { build } = require('../../../clients/js/node_modules/esbuild');
const { Browser, until } = require('../browser/chromium');
const { start } = require('../server');
const { DIST } = require('./open');

const LIMITS = { timeout: 90_000 };
const PAGE = fs.readFileSync(path.resolve(__dirname, '../../../docs/client.md'), 'utf8');
const browser = new Browser();

before(() => browser.launch(), { timeout: 90_000 });
after(() => browser.close());

/** The code below this heading, up to the next one. */
function code(heading) {
  const section = PAGE.split(`\n## ${heading}\n`)[1].split('\n## ')[0];
  return Array.from(section.matchAll(/^```\w+\n(.*?)^```/gms), ([, block]) => block);
}

/** Bundles `app` with the module `turted.js` of the page and the module `hooks.js` below a heading. */
function bundle(url, hooks, app) {
  const files = { './turted.js': code('React')[0].replaceAll('https://push.example', url), './hooks.js': hooks };
  const plugin = {
    name: 'page',
    setup(bundling) {
      bundling.onResolve({ filter: /^\.\/(turted|hooks)\.js$/ }, ({ path }) => ({ path, namespace: 'page' }));
      bundling.onLoad({ filter: /.*/, namespace: 'page' }, ({ path }) => ({ contents: files[path], loader: 'jsx', resolveDir: __dirname }));
    },
  };
  return build({
    stdin: { contents: app, loader: 'jsx', resolveDir: __dirname },
    bundle: true,
    write: false,
    format: 'iife',
    alias: { '@turted/client': path.join(DIST, 'turted.mjs') },
    define: { 'process.env.NODE_ENV': '"development"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
    plugins: [plugin],
  }).then(({ outputFiles }) => outputFiles[0].text);
}

/** A page that runs `script` and notes what it sends. */
async function running(t, script) {
  const page = await browser.page(t, []);
  await page.evaluate(() => {
    window.sent = [];
    document.body.innerHTML = '<main></main>';
    window.WebSocket = class extends WebSocket {
      send(text) {
        sent.push(JSON.parse(text));
        super.send(text);
      }
    };
  });
  await page.addScriptTag({ content: script });
  return page;
}

const text = (page, wanted) => until(page, (wanted) => document.querySelector('main').innerText.includes(wanted), wanted);
const asked = (page, kind) => page.evaluate((kind) => sent.filter((message) => message.do === kind).map(({ channel }) => channel), kind);

/** Two components that show the events of one channel; `window.unmount(number)` takes one away. */
async function shares(t, page, server) {
  await text(page, 'connected');
  await until(page, () => sent.some((message) => message.do === 'join'));
  await page.evaluate(() => turted.echo(1));
  assert.deepEqual(await asked(page, 'join'), ['chat']);
  await server.emit('N', { channels: ['chat'] }, 'first');
  await text(page, 'a:first');
  await text(page, 'b:first');
  await page.evaluate(() => unmount('a'));
  await until(page, () => !document.querySelector('main').innerText.includes('a:'));
  await server.emit('N', { channels: ['chat'] }, 'second');
  await text(page, 'b:second');
  assert.deepEqual(await asked(page, 'leave'), []);
  await page.evaluate(() => unmount('b'));
  await until(page, () => sent.some((message) => message.do === 'leave'));
}

describe('the client library', { concurrency: false }, () => {
  test('joins once for two components of React in StrictMode', LIMITS, async (t) => {
    const server = await start(t);
    const app = `
      import { StrictMode, useState } from 'react';
      import { createRoot } from 'react-dom/client';
      import { useConnection, useEvent } from './hooks.js';
      import { turted } from './turted.js';
      window.turted = turted;
      function Shown({ name }) {
        const [last, setLast] = useState('');
        useEvent('chat', 'N', (payload) => setLast(payload));
        return <p>{name}:{last}</p>;
      }
      function App() {
        const [names, setNames] = useState(['a', 'b']);
        window.unmount = (name) => setNames((all) => all.filter((each) => each !== name));
        return <>{useConnection()}{names.map((name) => <Shown key={name} name={name} />)}</>;
      }
      createRoot(document.querySelector('main')).render(<StrictMode><App /></StrictMode>);`;
    const script = await bundle(server.url, `import * as React from 'react';\n${code('React')[1]}`, `import * as React from 'react';\n${app}`);
    await shares(t, await running(t, script), server);
  });

  test('joins once for two components of Vue', LIMITS, async (t) => {
    const server = await start(t);
    const app = `
      import { createApp, h, ref } from 'vue';
      import { useConnection, useEvent } from './hooks.js';
      import { turted } from './turted.js';
      window.turted = turted;
      const Shown = {
        props: ['name'],
        setup({ name }) {
          const last = ref('');
          useEvent('chat', 'N', (payload) => (last.value = payload));
          return () => h('p', name + ':' + last.value);
        },
      };
      createApp({
        setup() {
          const names = ref(['a', 'b']);
          const state = useConnection();
          window.unmount = (name) => (names.value = names.value.filter((each) => each !== name));
          return () => [state.value, names.value.map((name) => h(Shown, { key: name, name }))];
        },
      }).mount('main');`;
    await shares(t, await running(t, await bundle(server.url, code('Vue')[0], app)), server);
  });
});
