'use strict';
// Compares the tests that failed in a run of a suite with the list of those known to fail. A new failure is
// reported, and so is a known one that passes. usage: compare.js FORMAT RESULTS LIST

const fs = require('node:fs');

const [format, results, list] = process.argv.slice(2);
const GOOD_OF_AUTOBAHN = ['OK', 'NON-STRICT', 'INFORMATIONAL'];

/** The results of a run: the name of each test, and whether it passed. */
const READERS = {
  mocha(text) {
    const { passes, failures } = JSON.parse(text);
    return [...passes.map((test) => [test.fullTitle, true]), ...failures.map((test) => [test.fullTitle, false])];
  },
  unittest(text) {
    const lines = [...text.matchAll(/^(test\w+ \([\w.]+\))\n?[^\n]*? \.\.\. (ok|FAIL|ERROR)$/gm)];
    return lines.map(([, name, verdict]) => [name, verdict === 'ok']);
  },
  autobahn(text) {
    const cases = Object.entries(Object.values(JSON.parse(text))[0]);
    const isGood = ({ behavior, behaviorClose }) =>
      GOOD_OF_AUTOBAHN.includes(behavior) && GOOD_OF_AUTOBAHN.includes(behaviorClose);
    return cases.map(([name, verdict]) => [name, isGood(verdict)]);
  },
};

/** The names in a list, without its comments. */
function known(text) {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

function main() {
  const ran = READERS[format](fs.readFileSync(results, 'utf8'));
  const failed = ran.filter(([, passed]) => !passed).map(([name]) => name).sort();
  console.log(`${list}: ${ran.length - failed.length} of ${ran.length} pass`);
  if (process.env.WRITE) {
    fs.writeFileSync(list, failed.map((name) => `${name}\n`).join(''));
    return 0;
  }
  if (!fs.existsSync(list)) {
    console.error(`${list} is not there: look at what failed, and write it with WRITE=1\n${failed.join('\n')}`);
    return 1;
  }
  const expected = known(fs.readFileSync(list, 'utf8'));
  const news = failed.filter((name) => !expected.includes(name));
  const gone = expected.filter((name) => !failed.includes(name));
  for (const name of news) console.error(`fails, and is not on the list: ${name}`);
  for (const name of gone) console.error(`is on the list, and does not fail: ${name}`);
  return ran.length > 0 && news.length + gone.length === 0 ? 0 : 1;
}

process.exitCode = main();
