'use strict';
// A history that can be spoiled, and what the faults of `faults.js` need to find a place where the verdict is certain: an
// event in the midst of a connection say, of a channel that was joined long before.

const QUIET_MS = 300;

/** The records of a run, with what faults look for. */
class Story {
  constructor(records, random) {
    this.records = records.map((record) => ({ ...record }));
    this.random = random;
    this.pushes = new Map();
    this.answers = new Map();
    for (const record of this.records) {
      if (record.do === 'push') for (const { n } of record.events) this.pushes.set(n, record);
      if (record.do === 'answer') this.answers.set(record.push, record);
    }
    this.clients = new Map();
    for (const record of this.records) {
      if (!record.who.startsWith('c')) continue;
      if (!this.clients.has(record.who)) this.clients.set(record.who, []);
      this.clients.get(record.who).push(record);
    }
  }

  /** One of the records for which `condition(record, index, recordsOfItsClient)` holds. */
  one(condition) {
    const found = [...this.clients.values()].flatMap((own) => own.filter((record, index) => condition(record, index, own)));
    if (found.length === 0) throw new Error('the history has no place for this fault');
    return this.random.one(found);
  }

  /** The first of what `find(record, index, recordsOfItsClient)` finds. */
  some(find) {
    for (const own of this.clients.values()) {
      for (const [index, record] of own.entries()) {
        const found = find(record, index, own);
        if (found) return found;
      }
    }
    throw new Error('the history has no place for this fault');
  }

  /** The client does nothing but receive around this record, and knows its memberships since long before. */
  isQuiet(record, index, own) {
    const isNear = (each) => each && Math.abs(each.at - record.at) < QUIET_MS;
    for (const step of [1, -1]) {
      if (own[index + step]?.do !== 'event') return false;
      for (let place = index + step; isNear(own[place]); place += step) if (own[place].do !== 'event') return false;
    }
    return true;
  }

  /** An event in the midst of a connection, whose push was answered. */
  event(condition = () => true) {
    return this.one((record, index, own) => record.do === 'event' && this.isQuiet(record, index, own) && this.isAnswered(record.n) && condition(record, index, own));
  }

  push(n) {
    return this.pushes.get(n);
  }

  isAnswered(n) {
    return this.answers.get(this.push(n).push)?.status === 200;
  }

  all(n) {
    return this.records.filter((record) => record.do === 'event' && record.n === n);
  }

  own(who) {
    return this.records.filter((record) => record.who === who);
  }

  remove(...gone) {
    const set = new Set(gone);
    this.records = this.records.filter((record) => !set.has(record));
  }

  insertBehind(place, ...added) {
    this.records.splice(this.records.indexOf(place) + 1, 0, ...added);
  }

  /** Exchanges two events of a client, which keep their times. */
  swap(one, other) {
    for (const key of ['n', 'p', 'via']) [one[key], other[key]] = [other[key], one[key]];
  }

  /** The records of the client behind this one. */
  behind(record) {
    const own = this.clients.get(record.who);
    return own.slice(own.indexOf(record) + 1);
  }

  before(record) {
    const own = this.clients.get(record.who);
    return own.slice(0, own.indexOf(record));
  }

  /** A return of a client to its session, where it was sent again what it had missed, and all its requests had been answered. */
  replay() {
    const isOld = (record, at) => record.do === 'event' && this.isAnswered(record.n) && this.answers.get(this.push(record.n).push).at < at;
    return this.one((record, index, own) => {
      if (record.told !== 'recovered' || own.length <= index + 8) return false;
      const asked = own.slice(0, index).filter((each) => each.do === 'ask').length;
      const told = own.slice(0, index).filter((each) => each.do === 'told').length;
      return asked === told && own.slice(index + 1, index + 6).every((each) => isOld(each, record.at));
    });
  }

  asked(told) {
    return this.clients.get(told.who).find((record) => record.do === 'ask' && record.id === told.id);
  }

  /** A push for this target alone that was answered before `to` and begun after `from`, if there is one. */
  pushTo(kind, name, from, to) {
    for (const record of this.pushes.values()) {
      const [event] = record.events;
      const answer = this.answers.get(record.push);
      const isFor = !event.all && event[kind]?.includes(name) && (event.users?.length || 0) + (event.channels?.length || 0) === 1;
      if (isFor && record.at > from && answer?.status === 200 && answer.at < to) return { n: event.n, p: answer.positions[0], answered: answer.at };
    }
    return undefined;
  }

  /** Rewrites a position wherever it stands. */
  renumber(n, position) {
    for (const record of this.all(n)) record.p = position;
    const push = this.push(n);
    const answer = this.answers.get(push.push);
    if (answer) answer.positions = answer.positions.map((old, index) => (push.events[index].n === n ? position : old));
  }
}

/** A copy of an event for this client, at this moment. */
const copied = (event, { who, at }) => ({ ...event, who, at });

module.exports = { copied, Story };
