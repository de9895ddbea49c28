'use strict';
// What a soak has found, as a table.

const { counted } = require('../checker');

/** Promised: the 99th percentile of the time after a start until a client is back. */
const BACK_MS_P99 = 15_000;
/** Promised: so few of all returns are told a gap though nothing was missing. */
const FALSE_ALARMS_MAX = 0.01;
/** Of each verdict so many findings are printed. */
const EXAMPLES = 5;
/** None of these may be found. */
const VERDICTS = [
  'lost',
  'gap not told',
  'half delivered',
  'doubled',
  'dispatched twice',
  'number used twice',
  'reordered',
  'wrong recipient',
  'refused but delivered',
  'invented',
  'idle',
];

/** Prints the table; returns whether everything that is promised was kept. */
function summarize(findings, figures, comebacks) {
  const counts = counted(findings);
  const alarms = counts['false alarm'] || 0;
  const p99 = comebacks[Math.floor(comebacks.length * 0.99)] ?? 0;
  const rows = [
    ...Object.entries(figures),
    ...VERDICTS.map((verdict) => [verdict, counts[verdict] || 0]),
    ['false alarm', `${alarms} (${((100 * alarms) / Math.max(1, figures.returns)).toFixed(2)} % of the returns)`],
    ['back after a start', `${comebacks.length} times, median ${seconds(comebacks[Math.floor(comebacks.length / 2)])}, p99 ${seconds(p99)}, last ${seconds(comebacks.at(-1))}`],
  ];
  console.log();
  for (const [name, value] of rows) console.log(`${name.padEnd(22)} ${value}`);
  const told = {};
  for (const { verdict, who, kind, n, why } of findings) {
    told[verdict] = (told[verdict] || 0) + 1;
    if (told[verdict] <= EXAMPLES) console.log(`  ${verdict}: ${kind ?? ''} ${who ?? ''} ${n ?? ''} ${why ?? ''}`);
  }
  return VERDICTS.every((verdict) => !counts[verdict]) && alarms <= figures.returns * FALSE_ALARMS_MAX && p99 <= BACK_MS_P99;
}

const seconds = (ms = 0) => `${(ms / 1000).toFixed(1)} s`;

module.exports = { summarize };
