'use strict';
// Judges a run by its history: what was lost, doubled, reordered, or went to the wrong client; which gaps were not told,
// and which were told without one; who never came back. It knows no server, so it is checked with histories that are
// correct but for one fault (`faults.js`).

const { EVERYONE, IN, MAYBE, Memberships, OUT } = require('./memberships');
const { Pushes } = require('./pushes');

const GAPS = new Set(['gap-new', 'gap-kept']);
const isGap = (step) => step.do === 'gap' || (step.do === 'connected' && GAPS.has(step.told));

/** Judges what one client received. */
class ClientCheck {
  constructor(client, context) {
    this.client = client;
    Object.assign(this, context);
    this.ranks = client.numbers.map((n) => this.pushes.rankOf(n));
    this.memberships = new Memberships();
    for (const step of client.steps) this.memberships.take(step);
    this.gaps = this.toldGaps();
    this.received = new Map();
  }

  run() {
    this.each();
    this.missing();
    for (const gap of this.gaps.filter(({ missed, isPromised }) => missed === 0 && !isPromised)) {
      this.found('false alarm', undefined, `a gap was told at ${gap.at}, and nothing was missing`);
    }
    const last = this.client.steps.findLast((step) => step.do !== 'closed');
    if (last.do === 'lost' || last.do === 'open') this.found('idle', undefined, `it is away since ${last.at}`);
  }

  found(verdict, n, why) {
    this.find(verdict, { who: this.client.who, kind: this.client.kind, n, why });
  }

  /** The gaps that the client was told, each with the position behind which it allows events to be missing. */
  toldGaps() {
    const gaps = [];
    let lost = { after: 0 };
    let connected = -Infinity;
    let connectedBefore = -Infinity;
    let isPending = false;
    for (const step of this.client.steps) {
      if (step.do === 'lost' && !isPending) [lost, connectedBefore] = [step, connected];
      if (step.do === 'connected' && step.told === 'gap-later') isPending = true;
      if (isGap(step)) {
        const low = (lost.after > 0 ? this.ranks[lost.after - 1] : undefined) ?? -Infinity;
        // A server whose log is in memory leaves nothing to the next one. When that one listens is noted later than a client
        // may have found it, so the end counts.
        const isPromised = this.store === 'memory' && this.ends.some((at) => at > connectedBefore && at < step.at);
        gaps.push({ at: step.at, low, missed: 0, isPromised });
        isPending = false;
      }
      if (step.do === 'connected') connected = step.at;
    }
    return gaps;
  }

  each() {
    let highest = -Infinity;
    this.client.numbers.forEach((n, index) => {
      const dispatch = this.history.dispatches.get(n);
      if (!dispatch) return;
      if (this.received.has(n)) return this.found('doubled', n, 'it came before');
      this.received.set(n, index);
      const rank = this.ranks[index];
      if (rank < highest) this.found('reordered', n, 'it came behind a later one');
      highest = Math.max(highest, rank ?? highest);
      this.addressed(dispatch, this.client.vias[index]);
    });
  }

  addressed(dispatch, via) {
    const { begun, ended } = dispatch.push;
    if (via !== undefined && !dispatch.targets.includes(via)) return this.found('wrong recipient', dispatch.n, `${via} is none of its targets`);
    const targets = via === undefined ? dispatch.targets : [via];
    if (targets.some((target) => this.memberships.of(target).during(begun, ended).highest !== OUT)) return;
    this.found('wrong recipient', dispatch.n, `it was for ${dispatch.targets.join(', ')}`);
  }

  missing() {
    const seen = new Set();
    for (const target of [...this.memberships.byTarget.keys(), EVERYONE]) {
      for (const dispatch of this.byTarget.get(target) || []) {
        if (this.received.has(dispatch.n) || seen.has(dispatch.n)) continue;
        const state = this.state(dispatch);
        if (state === OUT) continue;
        seen.add(dispatch.n);
        this.missed(dispatch, state === IN);
      }
    }
  }

  /** IN: the client was a target all the time in which the push may have been accepted. OUT: never. */
  state({ targets, push }) {
    let state = OUT;
    for (const target of targets) {
      if (!this.memberships.byTarget.has(target)) continue;
      const during = this.memberships.of(target).during(push.begun, push.ended);
      if (during.lowest === IN) return IN;
      if (during.highest !== OUT) state = MAYBE;
    }
    return state;
  }

  missed(dispatch, isDue) {
    const rank = this.pushes.rankOf(dispatch.n) ?? Infinity;
    const gaps = this.gaps.filter((gap) => dispatch.push.begun < gap.at && rank > gap.low);
    for (const gap of gaps) gap.missed++;
    if (!isDue || gaps.length > 0) return;
    const back = this.returnAt(rank);
    if (back && this.hadLeft(dispatch, back.at)) return;
    if (dispatch.push.isUnsure) return this.found('half delivered', dispatch.n, 'others received this push, which was not answered');
    if (back) return this.found('gap not told', dispatch.n, 'it is missing where the client came back');
    this.found('lost', dispatch.n, `it was for ${dispatch.targets.join(', ')}`);
  }

  /** The return of the client, if it lost its connection between the events around this position. */
  returnAt(rank) {
    let before = 0;
    this.ranks.forEach((each, index) => { if (each < rank) before = index + 1; });
    const next = this.ranks.findIndex((each) => each > rank);
    const after = next < 0 ? Infinity : next;
    const lost = this.client.steps.findIndex((step) => step.do === 'lost' && step.after >= before && step.after <= after);
    if (lost < 0) return undefined;
    return this.client.steps.slice(lost).find((step) => step.do === 'connected') || { at: Infinity };
  }

  /** What the client has left while it was away, or right before, is not sent again. */
  hadLeft({ targets, push }, back) {
    return targets.every((target) => {
      if (!this.memberships.byTarget.has(target)) return true;
      const membership = this.memberships.of(target);
      return membership.during(push.begun, push.ended).lowest !== IN || membership.during(push.ended, back).lowest !== IN;
    });
  }
}

/** How long after the start of a server each client came back that was away when it started, in milliseconds. */
function comebacks(history) {
  const starts = history.servers.filter((record) => record.do === 'listening').map(({ at }) => at);
  const waits = [];
  for (const { steps } of history.clients.values()) {
    let lost;
    for (const step of steps) {
      if (step.do === 'lost') lost = step.at;
      if (step.do !== 'connected' || lost === undefined) continue;
      const start = starts.findLast((at) => at <= step.at);
      if (start > lost) waits.push(step.at - start);
      lost = undefined;
    }
  }
  return waits.sort((one, other) => one - other);
}

function byTarget(history) {
  const lists = new Map();
  for (const dispatch of history.dispatches.values()) {
    if (!dispatch.push.isAccepted) continue;
    for (const target of dispatch.targets) {
      if (!lists.has(target)) lists.set(target, []);
      lists.get(target).push(dispatch);
    }
  }
  return lists;
}

/**
 * The findings about a history, each `{ verdict, who, n, why }`, and its figures. `store`: where the server keeps its
 * log, `memory` or `disk`, on which it depends what is promised after a start.
 */
function check(history, store = 'disk') {
  const findings = [];
  const find = (verdict, finding) => findings.push({ verdict, ...finding });
  const pushes = new Pushes(history, store, find);
  const ends = history.servers.filter((record) => record.do === 'killed' || record.do === 'stopped').map(({ at }) => at);
  const context = { history, store, find, pushes, ends, byTarget: byTarget(history) };
  const figures = { clients: history.clients.size, pushes: history.pushes.size, deliveries: 0, returns: 0, gaps: 0 };
  for (const client of history.clients.values()) {
    new ClientCheck(client, context).run();
    figures.deliveries += client.numbers.length;
    figures.returns += Math.max(0, client.steps.filter((step) => step.do === 'connected').length - 1);
    figures.gaps += client.steps.filter(isGap).length;
  }
  return { findings, figures, comebacks: comebacks(history) };
}

/** How often each verdict was found. */
function counted(findings) {
  const counts = {};
  for (const { verdict } of findings) counts[verdict] = (counts[verdict] || 0) + 1;
  return counts;
}

module.exports = { check, counted };
