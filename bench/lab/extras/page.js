'use strict';
// Opens the page of operators, pauses its live view, says so, and stays until its standard input ends.

const { once } = require('node:events');
const { Browser, until } = require('../../../tests/clients/browser/chromium');

const saysOf = (page, text) => until(page, (wanted) => document.getElementById('live-state').textContent.startsWith(wanted), text);

async function main() {
  const browser = new Browser();
  await browser.launch();
  try {
    const page = await browser.context.newPage();
    await page.goto(process.argv[2]);
    await saysOf(page, 'watching');
    await page.click('#pause');
    await saysOf(page, 'paused');
    console.log('"paused"');
    process.stdin.resume();
    await once(process.stdin, 'end');
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
