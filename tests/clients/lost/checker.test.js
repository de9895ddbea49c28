'use strict';
// The checker, checked: it finds nothing in a correct history, and each fault that is put into one.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { check, counted } = require('./checker');
const { FAULTS } = require('./faults');
const { generate } = require('./generated');
const { History } = require('./history');
const { randomOf } = require('./random');
const { Story } = require('./story');

const SEEDS = [1, 2, 3];
/** Of these each fault spoils its own copy. */
const SPOILED = [1, 2];
/** Of a history with so many deliveries one is dropped. */
const DELIVERIES = 100_000;
const correct = new Map(SEEDS.map((seed) => [seed, generate({ seed })]));

describe('the checker', () => {
  for (const seed of SEEDS) {
    test(`finds nothing in the correct history ${seed}`, () => {
      const { findings, figures } = check(History.of(correct.get(seed)));
      assert.deepEqual(findings, []);
      assert.ok(figures.gaps > 0 && figures.returns > 100, JSON.stringify(figures));
    });
  }

  for (const [name, verdict, spoil] of FAULTS) {
    test(`finds that ${name}`, () => {
      for (const seed of SPOILED) {
        const story = new Story(correct.get(seed), randomOf(seed));
        spoil(story);
        const { findings } = check(History.of(story.records));
        assert.ok(counted(findings)[verdict] > 0, `seed ${seed}: ${JSON.stringify(counted(findings))}`);
      }
    });
  }

  test(`finds the one delivery of ${DELIVERIES} that is dropped, and nothing else`, () => {
    const records = generate({ seed: 4, rounds: 600 });
    assert.deepEqual(check(History.of(records)).findings, []);
    const story = new Story(records, randomOf(4));
    const dropped = story.event();
    story.remove(dropped);
    const { findings, figures } = check(History.of(story.records));
    assert.ok(figures.deliveries >= DELIVERIES, JSON.stringify(figures));
    assert.deepEqual(findings.map(({ verdict, who, n }) => [verdict, who, n]), [['lost', dropped.who, dropped.n]]);
  });
});
