'use strict';
// The faults that the checker has to find: each spoils a correct history in one place.

const { copied } = require('./story');

/** An event comes that was pushed before the client asked for this membership, or after it was told of its end. */
function strayed(story, what, kind) {
  const isEarly = what !== 'leave';
  const stray = story.some((told, index, own) => {
    if (told.do !== 'told' || told.what !== what) return undefined;
    const { at } = story.asked(told);
    const isSame = (each) => each.do === 'ask' && each.what !== 'leave' && each.name === told.name;
    const last = own.findLast((each) => each.at < at && each.do === 'told' && each.name === told.name)?.at ?? 0;
    const next = own.find((each) => each.at > told.at && isSame(each))?.at ?? Infinity;
    const pushed = isEarly ? story.pushTo(kind, told.name, last, at) : story.pushTo(kind, told.name, told.at, next);
    if (!pushed || own.some((each) => each.n === pushed.n)) return undefined;
    return { ...pushed, place: isEarly ? told : own.find((each) => each.at > pushed.answered) };
  });
  const { place, n, p } = stray;
  story.insertBehind(place, { at: place.at, who: place.who, do: 'event', n, p });
}

const isAlone = (story, n) => story.push(n).events.length === 1 && !story.push(n).key;

/** `[name, verdict, spoil(story)]` */
const FAULTS = [
  ['a delivery is dropped', 'lost', (story) => story.remove(story.event())],
  ['two events are swapped', 'reordered', (story) => {
    const event = story.event();
    story.swap(event, story.behind(event)[0]);
  }],
  ['an event goes to a neighbour as well', 'wrong recipient', (story) => {
    const event = story.event(({ via }) => via.startsWith('user'));
    const heard = new Set(story.all(event.n).map(({ who }) => who));
    const neighbour = story.event(({ who, at }) => !heard.has(who) && at > event.at);
    story.insertBehind(neighbour, copied(event, neighbour));
  }],
  ['a number is used twice', 'number used twice', (story) => {
    const event = story.event();
    story.renumber(event.n, story.event(({ n }) => n !== event.n).p);
  }],
  ['numbers begin anew after a start', 'number used twice', (story) => {
    const { at } = story.records.findLast((record) => record.do === 'listening');
    const later = new Set();
    for (const [n, push] of story.pushes) if (push.at > at) later.add(n);
    for (const n of later) {
      const [known] = story.all(n);
      if (!known) continue;
      const [epoch, sequence] = known.p.split('-');
      story.renumber(n, `${epoch}-${sequence - 100}`);
    }
  }],
  ['a client gets the session of another one', 'wrong recipient', (story) => {
    const back = story.replay();
    const other = story.one((record) => record.told === 'recovered' && record.who !== back.who);
    const [mine, theirs] = [story.behind(back), story.behind(other)].map((records) => new Set(records.filter((record) => record.do === 'event')));
    for (const record of story.records) {
      if (mine.has(record)) record.who = other.who;
      else if (theirs.has(record)) record.who = back.who;
    }
  }],
  ['a session of an epoch whose events are gone is recovered', 'gap not told', (story) => {
    const back = story.replay();
    story.remove(...story.behind(back).slice(0, 5));
  }],
  ['an event of before the JOIN comes', 'wrong recipient', (story) => strayed(story, 'join', 'channels')],
  ['an event of after the LEAVE comes', 'wrong recipient', (story) => strayed(story, 'leave', 'channels')],
  ['an event of before the IDENT comes', 'wrong recipient', (story) => strayed(story, 'ident', 'users')],
  ['an event for the former user comes', 'wrong recipient', (story) => {
    const { place, n, p } = story.some((second, index, own) => {
      if (second.do !== 'told' || second.what !== 'ident') return undefined;
      const former = own.slice(0, index).findLast((each) => each.do === 'told' && each.what === 'ident' && each.name !== second.name);
      const again = own.slice(index).find((each) => each.do === 'ask' && each.name === former?.name);
      const pushed = former && story.pushTo('users', former.name, second.at, again?.at ?? Infinity);
      return pushed && { ...pushed, place: own.at(-1) };
    });
    story.insertBehind(place, { at: place.at, who: place.who, do: 'event', n, p });
  }],
  ['a replay begins one event too early', 'doubled', (story) => {
    const back = story.replay();
    const last = story.before(back).findLast((record) => record.do === 'event');
    story.insertBehind(back, copied(last, back));
  }],
  ['a replayed event comes live as well', 'doubled', (story) => {
    const back = story.replay();
    const [first, , , fourth] = story.behind(back);
    story.insertBehind(fourth, copied(first, fourth));
  }],
  ['the last event of a replay is missing', 'lost', (story) => {
    const back = story.replay();
    const events = story.behind(back);
    const live = events.findIndex((record) => record.at > back.at + 1);
    story.remove(events[live - 1]);
  }],
  ['a replayed event comes behind a live one', 'reordered', (story) => {
    const back = story.replay();
    const events = story.behind(back);
    story.swap(events[3], events[4]);
  }],
  ['a gap is not told to a client of Socket.IO', 'gap not told', (story) => {
    story.one((record) => record.told === 'gap-kept').told = 'recovered';
  }],
  ['a gap is not told to an event stream', 'gap not told', (story) => story.remove(story.one((record) => record.do === 'gap'))],
  ['a gap is told though nothing is missing', 'false alarm', (story) => {
    story.replay().told = 'gap-kept';
  }],
  ['a gap is told to an event stream though nothing is missing', 'false alarm', (story) => {
    const back = story.one((record, index, own) => record.told === 'unknown' && own[index + 1]?.do === 'event');
    story.insertBehind(back, { at: back.at, who: back.who, do: 'gap' });
  }],
  ['an event that is pushed after a gap was told is missing', 'lost', (story) => {
    const gap = story.one((record, index, own) => record.told === 'gap-kept' && own.slice(index + 1, index + 9).every((each) => each.do === 'event'));
    // The first one behind the gap is kept, so that the hole is clearly behind it.
    const later = story.behind(gap).slice(1).find((record) => record.do === 'event' && story.push(record.n).at > gap.at);
    story.remove(later);
  }],
  ['a push without an answer reaches some and others not', 'half delivered', (story) => {
    const event = story.one((record, index, own) => record.do === 'event' && story.isQuiet(record, index, own) && !story.answers.has(story.push(record.n).push) && story.all(record.n).length > 2);
    story.remove(event);
  }],
  ['a batch without an answer comes without its last event', 'half delivered', (story) => {
    const event = story.one((record, index, own) => {
      if (record.do !== 'event' || !story.isQuiet(record, index, own)) return false;
      const push = story.push(record.n);
      return !story.answers.has(push.push) && push.events.length > 1 && push.events.at(-1).n === record.n;
    });
    story.remove(...story.all(event.n));
  }],
  ['an answered push reaches nobody', 'lost', (story) => story.remove(...story.all(story.event().n))],
  ['a key is dispatched twice', 'dispatched twice', (story) => {
    const event = story.event(({ n }) => story.push(n).key);
    const last = story.own(event.who).at(-1);
    story.insertBehind(last, { ...copied(event, last), p: '99-99999999' });
  }],
  ['a key is answered with another position', 'dispatched twice', (story) => {
    const event = story.event(({ n }) => story.push(n).key);
    const answer = story.answers.get(story.push(event.n).push);
    story.insertBehind(answer, { ...answer, positions: answer.positions.map(() => '99-99999999') });
  }],
  ['clients hear of two positions of one event', 'dispatched twice', (story) => {
    story.event().p = '1-99999999';
  }],
  ['a refused push is delivered', 'refused but delivered', (story) => {
    const event = story.event(({ n }) => isAlone(story, n));
    story.answers.get(story.push(event.n).push).status = 503;
  }],
  ['an event comes that nobody pushed', 'invented', (story) => {
    const event = story.event();
    story.insertBehind(event, { ...event, n: 10 ** 9, p: '99-99999999' });
  }],
  ['`via` names a target that the push had not', 'wrong recipient', (story) => {
    story.event().via = 'channel elsewhere';
  }],
  ['the log has a later push before an earlier one', 'reordered', (story) => {
    // Of pushes that reach nobody, so that only their backends can tell.
    const alone = [...story.pushes].filter(([n]) => story.isAnswered(n) && isAlone(story, n) && story.all(n).length === 0);
    const [one, other] = [alone[0], alone.at(-1)].map(([, push]) => story.answers.get(push.push));
    [one.positions, other.positions] = [other.positions, one.positions];
  }],
  ['a client never comes back', 'idle', (story) => {
    const lost = story.one((record) => record.do === 'lost');
    story.remove(...story.behind(lost));
    story.insertBehind(story.records.at(-1), { at: story.records.at(-1).at, who: lost.who, do: 'closed' });
  }],
  ['a client is deaf after it came back', 'gap not told', (story) => {
    const back = story.replay();
    story.remove(...story.behind(back).filter((record) => record.do === 'event'));
  }],
  ['a client is deaf in one channel after it came back', 'lost', (story) => {
    const back = story.replay();
    const events = story.behind(back).filter((record) => record.do === 'event');
    const { via } = events.find((record) => record.via.startsWith('channel'));
    story.remove(...events.filter((record) => record.via === via));
  }],
];

module.exports = { FAULTS };
