'use strict';
// The page of operators: what the admin listener tells, on one screen. Names, payloads and reasons are what strangers
// chose: they are shown as text, never read as HTML. All paths are relative, so that the page works behind a proxy.

/** Rows of the live view. */
const ROWS_MAX = 500;
/** Time between two drawings of the live view, and how many rows one of them adds: the page stays fluent. */
const DRAW_MS = 100;
const DRAWN_MAX = 125;
/** Time between two looks at the metrics, and how many of them make five minutes. */
const SAMPLE_MS = 2_000;
const SAMPLES_MAX = 150;
/** Time after which a stream that broke is asked for again; one that was refused waits longer. */
const RETRY_MS = 2_000;
const REFUSED_RETRY_MS = 10_000;
/** Time after which a server is asked again that takes no more tokens from here. */
const BLOCKED_RETRY_MS = 60_000;
/** Time in which a second click is that of a double click. */
const DOUBLE_CLICK_MS = 500;
/** Time in which a second click does what the first one asked for. */
const SURE_MS = 10_000;
/** Bytes of a reason. */
const REASON_BYTES = 120;
/** Entries of a list that are asked for at once. */
const PAGE = 100;
/** Events of a history that are shown. */
const HISTORY = 20;
/** Lines of a figure; a server with more workers shows the busiest. */
const LINES_MAX = 8;
/** Where `turted push` pushes without `--url`. */
const USUAL_URL = 'http://127.0.0.1:7117/push/';

const at = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/** Characters that steer a terminal, or change the order of others: shown by their number. */
const visible = (text) =>
  String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) =>
    found === '\n' ? found : `\\u{${found.codePointAt(0).toString(16)}}`);

const make = (tag, text = '', properties = {}) =>
  Object.assign(document.createElement(tag), { textContent: visible(text), ...properties });

function put(parent, ...children) {
  parent.append(...children);
  return parent;
}

/** Says in an element what came of something; `kind` is `right`, `wrong` or nothing. */
function tell(element, text, kind = '') {
  element.textContent = visible(text);
  element.dataset.kind = kind;
}

const number = (value) => Math.round(value).toLocaleString('en');
const segment = encodeURIComponent;

/** The path of a user, channel or connection, or of what is below it. Browsers take the names `.` and `..` out of paths. */
const pathOf = (kind, name, below = '') =>
  /^\.\.?$/.test(name) && kind !== 'connections' ? `api/v1/${kind}${below}?name=${name}` : `api/v1/${kind}/${segment(name)}${below}`;

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds) % 60} s` : `${Math.floor(seconds)} s`;
}

// The server. Its token stays in the tab, and goes out in a header alone.

const TOKEN_KEY = 'turted-admin-token';
let token = sessionStorage.getItem(TOKEN_KEY) ?? '';
/** What the server says of itself and of the token: `null` until it was asked. */
let node = null;
let hasBegun = false;
/** Until when nothing is asked: too many wrong tokens came from here. */
let blockedUntil = 0;

class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, { method = 'GET', body, signal } = {}) {
  const headers = { Accept: 'application/json' };
  if (token !== '') headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { method, headers, body, signal, cache: 'no-store', redirect: 'error' });
  if (answer.ok) return answer;
  const text = await answer.text();
  let detail = text.trim();
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch {
    // A proxy on the way answers in its own words.
  }
  if (answer.status === 401) askForToken();
  if (answer.status === 429) blockedUntil = performance.now() + BLOCKED_RETRY_MS;
  throw new Refusal(answer.status, detail || `status ${answer.status}`);
}

const read = async (path, options) => (await ask(path, options)).json();

const reasonOf = (error) => (error instanceof Refusal ? error.message : `No answer: ${error.message}`);

function askForToken() {
  // A wrong one is a guess each time that it is shown.
  keepToken('');
  stopLive('a token is needed');
  tell(at('node'), 'a token is needed');
  if (!at('token-dialog').open) at('token-dialog').showModal();
}

function keepToken(text) {
  token = text;
  if (text === '') sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, text);
}

/** Asks with a token once, and goes on with it only if it is right: each wrong one is a guess. */
async function useToken(text) {
  keepToken(text);
  at('token-form').reset();
  tell(at('token-state'), '');
  try {
    if (text !== '') await ask('api/v1/node');
  } catch (error) {
    if (error.status === 401) return tell(at('token-state'), 'This token is not right.', 'wrong');
    keepToken('');
    return tell(at('token-state'), reasonOf(error), 'wrong');
  }
  blockedUntil = 0;
  samples.length = 0;
  hasBegun = false;
  at('token-dialog').close();
}

function showFault(text) {
  at('fault').hidden = text === '';
  tell(at('fault'), text);
}

// The head.

const OPEN = { ident: 'OPEN: everyone may be any user', push: 'OPEN: everyone may push', admin: 'OPEN: everyone may read this' };

function showNode() {
  const { node: name, version, uptime_seconds, draining, open } = node;
  tell(at('node'), `${name} · ${version} · up ${duration(uptime_seconds)}`);
  const notes = open.map((what) => OPEN[what] ?? `OPEN: ${what}`);
  if (draining) notes.unshift('draining');
  const shown = [...at('open').children].map(({ textContent }) => textContent);
  if (notes.join() !== shown.join()) at('open').replaceChildren(...notes.map((note) => make('li', note)));
}

/** The metrics that the page shows: a list of labels and value for each name. */
function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split('\n')) {
    const [, name, labels, value] = line.match(/^(turted_\w+)(?:\{(.*)\})? (\S+)$/) ?? [];
    if (name === undefined) continue;
    const pairs = [...(labels ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, label]) => [key, label]);
    if (!metrics.has(name)) metrics.set(name, []);
    metrics.get(name).push({ labels: Object.fromEntries(pairs), value: Number(value) });
  }
  return metrics;
}

const all = (metrics, name, label, wanted) =>
  (metrics.get(name) ?? []).filter(({ labels }) => label === undefined || labels[label] === wanted);
const sum = (...from) => all(...from).reduce((total, { value }) => total + value, 0);

const samples = [];

async function sample() {
  const metrics = parseMetrics(await (await ask('metrics')).text());
  const [before, now] = [samples.at(-1), performance.now()];
  const transports = {};
  for (const { labels, value } of all(metrics, 'turted_connections')) {
    transports[labels.transport] = (transports[labels.transport] ?? 0) + value;
  }
  const current = {
    now,
    transports,
    deliveries: sum(metrics, 'turted_deliveries_total'),
    busy: all(metrics, 'turted_worker_busy_seconds_total').map(({ value }) => value),
    slow: sum(metrics, 'turted_closes_total', 'reason', 'slow_reader'),
    waiting: sum(metrics, 'turted_backlog_bytes'),
    limit: sum(metrics, 'turted_backlog_limit_bytes'),
    memory: sum(metrics, 'turted_memory_bytes'),
    memoryMax: sum(metrics, 'turted_memory_max_bytes'),
  };
  const seconds = before && (now - before.now) / 1000;
  // A server that was started anew counts from nothing.
  const rate = (of) => (before ? Math.max(0, of(current) - of(before)) / seconds : 0);
  current.rates = {
    deliveries: rate((one) => one.deliveries),
    busy: current.busy.map((_, index) => Math.min(1, rate((one) => one.busy[index] ?? 0))),
    slow: rate((one) => one.slow) * (seconds ?? 0),
  };
  samples.push(current);
  if (samples.length > SAMPLES_MAX) samples.shift();
  drawFigures();
}

/** What is drawn: a title, what it is now, and one line or several. */
const FIGURES = [
  {
    title: 'Connections',
    now({ transports }) {
      const parts = Object.entries(transports).filter(([, open]) => open > 0);
      const total = parts.reduce((sum, [, open]) => sum + open, 0);
      return parts.length > 1 ? `${number(total)} (${parts.map(([name, open]) => `${name} ${number(open)}`).join(', ')})` : [number(total), ...parts.map(([name]) => name)].join(' ');
    },
    lines: ({ transports }) => [Object.values(transports).reduce((sum, open) => sum + open, 0)],
  },
  { title: 'Deliveries a second', now: ({ rates }) => number(rates.deliveries), lines: ({ rates }) => [rates.deliveries] },
  {
    title: 'Busy, each worker',
    now: ({ rates }) => (rates.busy.length > LINES_MAX ? `at most ${percent(Math.max(...rates.busy))}` : rates.busy.map(percent).join(' ')),
    lines: ({ rates }) => (rates.busy.length > LINES_MAX ? [Math.max(...rates.busy)] : rates.busy),
    most: 1,
  },
  {
    title: 'Slow readers cut',
    now: () => `${number(samples.reduce((total, { rates }) => total + rates.slow, 0))} in 5 min`,
    lines: ({ rates }) => [rates.slow],
  },
  {
    title: 'Waits for clients',
    now: ({ waiting, limit }) => `${bytes(waiting)} of ${bytes(limit)}`,
    lines: ({ waiting }) => [waiting],
  },
  {
    title: 'Memory',
    now: ({ memory, memoryMax }) => `${bytes(memory)}, at most ${bytes(memoryMax)}`,
    lines: ({ memory }) => [memory],
  },
];
const percent = (share) => `${Math.round(share * 100)} %`;

function drawFigures() {
  const parent = at('figures');
  if (parent.childElementCount === 0) parent.append(...FIGURES.map(makeFigure));
  FIGURES.forEach(({ now, lines, most }, index) => {
    const [caption, svg] = parent.children[index].children;
    caption.lastChild.textContent = now(samples.at(-1));
    drawLines(svg, samples.map(lines), most);
  });
}

function makeFigure({ title }) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of [['viewBox', `0 0 ${SAMPLES_MAX} 32`], ['preserveAspectRatio', 'none'], ['aria-hidden', 'true']]) {
    svg.setAttribute(name, value);
  }
  return put(make('figure'), put(make('figcaption'), make('span', title), make('b')), svg);
}

/** Draws a line for each number of the points; `most` is the top, the largest number without it. */
function drawLines(svg, points, most) {
  const top = most ?? Math.max(1, ...points.flat());
  const count = points.at(-1).length;
  while (svg.childElementCount > count) svg.lastChild.remove();
  while (svg.childElementCount < count) svg.append(document.createElementNS(SVG, 'polyline'));
  const left = SAMPLES_MAX - points.length;
  [...svg.children].forEach((line, index) => {
    const places = points.map((point, place) => `${left + place + 0.5},${(31 - 30 * ((point[index] ?? 0) / top)).toFixed(1)}`);
    line.setAttribute('points', places.join(' '));
  });
}

/** Whether the server is one of several, and whether its list of nodes is on its way. */
const cluster = { isOne: false, isAsked: false, isAlone: false };

/** Shows a row for each node. A server that is in no cluster is asked once. */
async function showNodes() {
  if (cluster.isAsked || cluster.isAlone) return;
  cluster.isAsked = true;
  try {
    const { nodes, silent = [] } = await read('api/v1/nodes');
    cluster.isAlone = nodes[0].number === undefined;
    cluster.isOne = !cluster.isAlone;
    at('nodes').hidden = cluster.isAlone;
    showAll();
    if (cluster.isOne) at('nodes').replaceChildren(...nodes.map((one) => nodeRow(one, silent.includes(one.number))));
  } finally {
    cluster.isAsked = false;
  }
}

function nodeRow({ number: id, this: isThis, version, address, connections, position, lag_seconds, draining, failure, heard_seconds, other_rules }, isSilent) {
  const wrong = [
    isSilent && `silent, heard ${duration(heard_seconds)} ago`,
    failure && `does not follow the log: ${failure}`,
    draining && 'draining',
    other_rules.length > 0 && `other rules: ${other_rules.join(', ')}`,
  ].filter(Boolean);
  const facts = [
    isThis && 'this one',
    version,
    address,
    `${number(connections)} connections`,
    position && `has read ${position}`,
    lag_seconds !== undefined && `${lag_seconds.toFixed(2)} s behind`,
  ].filter(Boolean);
  const row = put(make('li'), make('b', `Node ${id}`), ...facts.map((fact) => make('span', fact)));
  return put(row, ...wrong.map((fact) => make('span', fact, { className: 'wrong' })));
}

/** Looks at the server as long as somebody looks at the page. */
async function look() {
  if (document.hidden || at('token-dialog').open || performance.now() < blockedUntil) return;
  try {
    node = await read('api/v1/node');
    await sample();
    showNode();
    await showNodes();
    showFault('');
    begin();
  } catch (error) {
    if (error.status !== 401) showFault(reasonOf(error));
  }
}

// Lists.

const list = { kind: 'users', after: '', asked: 0 };
const EMPTY = {
  users: 'No user is online. A client becomes one by IDENT.',
  channels: 'No channel has a member. A client enters one by JOIN.',
  connections: 'No client is connected. Try: turted subscribe --channel chat',
};

function chooseKind(kind) {
  Object.assign(list, { kind, after: '' });
  at('search').elements.text.value = '';
  at('search-label').textContent = kind === 'connections' ? 'Id of a connection, or socket.id' : 'Names that begin with';
  return showList();
}

async function search() {
  const text = at('search').elements.text.value;
  if (list.kind === 'connections' && text.trim() !== '') return showEntry('connections', text.trim());
  list.after = '';
  return showList();
}

async function showList() {
  const { kind, after } = list;
  const asked = ++list.asked;
  const prefix = kind === 'connections' ? '' : at('search').elements.text.value;
  const parameters = new URLSearchParams({ limit: PAGE, ...(prefix && { prefix }), ...(after && { after }) });
  try {
    const found = await read(`api/v1/${kind}?${parameters}`);
    // Another list was asked for meanwhile.
    if (asked !== list.asked) return;
    const rows = found[kind].map((one) => listed(kind, one));
    const focused = document.activeElement.closest('#list li')?.firstChild.firstChild.textContent;
    if (after === '') at('list').replaceChildren(...rows);
    else put(at('list'), ...rows);
    if (after !== '') rows[0]?.firstChild.focus();
    // The one that had the focus is another element now.
    else if (focused !== undefined) rows.find(({ firstChild }) => firstChild.firstChild.textContent === focused)?.firstChild.focus();
    const last = found[kind].at(-1);
    list.after = last?.name ?? last?.id ?? '';
    at('list-more').hidden = !found.more;
    const isEmpty = at('list').childElementCount === 0;
    const many = `${number(at('list').childElementCount)}${found.more ? ' of more' : ''}`;
    tell(at('list-state'), !isEmpty ? many : prefix ? 'No name begins so. Names are compared with their case.' : EMPTY[kind]);
  } catch (error) {
    if (asked === list.asked) tell(at('list-state'), reasonOf(error), 'wrong');
  }
}

function listed(kind, one) {
  const name = one.name ?? one.id;
  const more = kind === 'connections' ? [one.users.join(', ') || 'nobody', one.transport].join(' · ') : number(one.connections);
  const button = put(make('button', '', { type: 'button' }), make('span', name), make('span', more));
  button.addEventListener('click', () => showEntry(kind, name));
  return put(make('li'), button);
}

// One entry.

const entry = { kind: '', name: '', asked: 0, found: null };

function link(kind, name, text = name) {
  const button = make('button', text, { type: 'button', className: 'link' });
  button.addEventListener('click', () => showEntry(kind, name));
  return button;
}

const links = (kind, names) => put(make('span', '', { className: 'links' }), ...names.map((name) => link(kind, name)));

/** Who is in a channel, in numbers. */
const presentIn = ({ count, anonymous }) => `${number(count)} users, and ${number(anonymous)} connections that are none`;

/** A list of terms and what they are: texts or elements. */
function terms(pairs) {
  const parts = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return put(make('dl'), ...parts.flatMap(([term, value]) => [make('dt', term), value instanceof Node ? put(make('dd'), value) : make('dd', value)]));
}

const ENTRIES = {
  users: {
    title: (name) => `User ${name}`,
    path: (name) => pathOf('users', name),
    show: ({ online, connections, connection_ids, last_seen }) => [
      terms([
        ['online', online ? 'yes' : 'no'],
        ['last seen', !online && (last_seen === undefined ? 'unknown' : new Date(last_seen).toLocaleString())],
        ['connections', number(connections)],
        ['', links('connections', connection_ids.slice(0, PAGE))],
      ].filter(([, value]) => value !== false)),
      ...(online ? [] : [make('p', 'Not online on this server. Names are compared with their case.', { className: 'hint' })]),
    ],
  },
  channels: {
    title: (name) => `Channel ${name}`,
    path: (name) => pathOf('channels', name),
    show({ name, connections, connection_ids, presence }) {
      const history = make('div');
      showHistory(name, history);
      return [
        terms([
          ['connections', number(connections)],
          ['', links('connections', connection_ids.slice(0, PAGE))],
          ['presence', presence ? presentIn(presence) : 'none: presence in [[channels]]'],
          ['', presence?.users && links('users', presence.users.slice(0, PAGE))],
        ]),
        history,
      ];
    },
  },
  connections: {
    title: (name) => `Connection ${name}`,
    path: (name) => pathOf('connections', name),
    show: (one) => [
      terms([
        ['id', one.id],
        ['socket.id', one.public_id],
        ['address', one.address],
        ['transport', [one.transport, one.version, one.carrier].filter(Boolean).join(', ')],
        ['since', new Date(one.connected_since * 1000).toLocaleString()],
        ['users', one.users.length === 0 ? 'nobody: no IDENT' : links('users', one.users)],
        ['channels', one.channels.length === 0 ? 'none' : links('channels', one.channels)],
        ['last position', link('trace', one.sent)],
        ['sent', bytes(one.sent_bytes)],
        ['waiting', `${number(one.outbox_frames)} frames, ${bytes(one.outbox_bytes)}`],
      ]),
    ],
  },
  trace: {
    title: (position) => `Event ${position}`,
    path: (position) => `api/v1/trace/${segment(position)}`,
    show: ({ event, targets, bytes: size, seconds, connections, sessions, more }) => [
      terms([
        ['event', event],
        ['bytes', number(size)],
        ['age', duration(seconds)],
        ['to', targets.broadcast ? 'everyone' : undefined],
        ['to users', targets.users.length > 0 && links('users', targets.users)],
        ['to channels', targets.channels.length > 0 && links('channels', targets.channels)],
        ...connections.map(({ connection, state, users }) => [state, put(make('span', '', { className: 'links' }), link('connections', connection), make('span', users.join(', ')))]),
        ...sessions.map(({ state, users, away_seconds }) => [state, `${users.join(', ') || 'nobody'}, away for ${duration(away_seconds)}`]),
      ].filter(([, value]) => value !== false)),
      make('p', `${more || targets.more > 0 ? 'There are more than are shown. ' : ''}Who is not listed is unknown: the log holds targets, not recipients.`, { className: 'hint' }),
    ],
  },
};

async function showEntry(kind, name, { keepFocus = false } = {}) {
  const { title, path, show } = ENTRIES[kind];
  const asked = ++entry.asked;
  Object.assign(entry, { kind, name, found: null });
  tell(at('entry-title'), title(name));
  if (!keepFocus) at('entry-title').focus();
  at('entry-again').hidden = false;
  for (const button of at('list').querySelectorAll('button')) {
    button.ariaCurrent = String(list.kind === kind && button.firstChild.textContent === visible(name));
  }
  try {
    const found = await read(path(name));
    if (asked !== entry.asked) return;
    // A proxy may have made another path of it.
    if ((found.name ?? name) !== name || (kind === 'connections' && found.id === undefined)) throw new Refusal(404, 'Not found.');
    entry.found = found;
    at('entry').replaceChildren(...show(found));
  } catch (error) {
    if (asked !== entry.asked) return;
    at('entry').replaceChildren(make('p', reasonOf(error), { className: 'hint' }));
  }
  showActions();
}

async function showHistory(channel, parent) {
  try {
    const path = pathOf('channels', channel, '/history');
    const { events, more } = await read(`${path}${path.includes('?') ? '&' : '?'}limit=${HISTORY}`);
    if (events.length === 0) {
      parent.replaceChildren(make('p', 'No history. A channel keeps its last events by history in [[channels]].', { className: 'hint' }));
      return;
    }
    const rows = events.map(({ position, event, age_seconds, bytes: size, payload }) => {
      const about = put(make('p', '', { className: 'act' }), make('b', event), make('span', `${duration(age_seconds)} ago, ${bytes(size)}`), link('trace', position, 'Trace'));
      if (node?.actions === 'allowed') {
        about.append(actionButton('Delete', `Delete ${event} ${position}`, () => change('DELETE', pathOf('channels', channel, `/history/${segment(position)}`))));
      }
      return put(make('div'), about, ...(payload === undefined ? [] : [pre(payload)]));
    });
    parent.replaceChildren(make('h3', `History, the newest ${number(events.length)}${more ? ' of more' : ''}`), ...rows);
  } catch (error) {
    parent.replaceChildren(make('p', `History: ${reasonOf(error)}`, { className: 'hint' }));
  }
}

const pre = (value) => make('pre', JSON.stringify(value, null, 2), { tabIndex: 0 });

// The live view.

const live = { abort: null, isPaused: false, waiting: [], skipped: 0, retry: 0, records: new WeakMap() };

/** The filters as the server takes them: `key=value` with spaces between, values with spaces as JSON strings. */
function filters() {
  const { text, payload, all } = at('filter').elements;
  const parameters = new URLSearchParams();
  const rest = text.value.replace(/(\w+)=("(?:[^"\\]|\\.)*"|\S*)/g, (_, key, value) => {
    parameters.append(key, value.startsWith('"') ? unquoted(value) : value);
    return '';
  });
  if (rest.trim() !== '') throw new Refusal(0, `A filter is key=value: ${rest.trim()}`);
  if (payload.checked && node?.payloads) parameters.append('payload', '1');
  if (all.checked && mayWatchAll()) parameters.append('nodes', 'all');
  return parameters;
}

/** Whether the filter is one for all nodes: each of them tells alone what concerns a user, a channel or an address. */
const mayWatchAll = () => cluster.isOne && /(^|\s)(user|channel|address)=/.test(at('filter').elements.text.value);

function showAll() {
  at('all-nodes').hidden = !cluster.isOne;
  at('all-nodes').title = 'For a filter with user, channel or address';
  at('filter').elements.all.disabled = !mayWatchAll();
}

function unquoted(value) {
  try {
    return JSON.parse(value);
  } catch {
    throw new Refusal(0, `This is no string: ${value}`);
  }
}

function stopLive(why, kind = '') {
  clearTimeout(live.retry);
  live.abort?.abort();
  live.abort = null;
  tell(at('live-state'), why, kind);
}

async function watch() {
  stopLive('connecting');
  if (live.isPaused || document.hidden || at('token-dialog').open) return stopLive(live.isPaused ? 'paused' : 'waiting');
  const abort = (live.abort = new AbortController());
  let wait = RETRY_MS;
  try {
    const parameters = filters();
    const answer = await ask(`api/v1/events?${parameters}`, { signal: abort.signal });
    tell(at('live-state'), !cluster.isOne ? 'watching' : parameters.has('nodes') ? 'watching all nodes' : 'watching this node alone', 'right');
    await takeRecords(answer.body.getReader());
  } catch (error) {
    if (abort.signal.aborted) return;
    tell(at('live-state'), reasonOf(error), 'wrong');
    if (error.status === 401) return;
    // What is wrong with a filter stays wrong.
    if (error.status === 0 || error.status === 400) return;
    if (error.status) wait = error.status === 429 ? BLOCKED_RETRY_MS : REFUSED_RETRY_MS;
  }
  if (live.abort === abort) live.retry = setTimeout(watch, wait);
}

async function takeRecords(reader) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error('the stream has ended');
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop();
    for (const event of events) {
      if (event.startsWith('data: ')) live.waiting.push(event.slice(6));
    }
    // Older ones would be drawn and thrown away at once.
    const over = live.waiting.length - ROWS_MAX;
    if (over > 0) live.skipped += live.waiting.splice(0, over).length;
  }
}

/** Draws what has come, a portion of it or all, the newest on top. */
function draw({ isAll = false } = {}) {
  if (live.waiting.length === 0) return;
  const rows = live.waiting.splice(0, isAll ? live.waiting.length : DRAWN_MAX).map((line) => rowOf(JSON.parse(line)));
  if (live.skipped > 0) {
    rows.unshift(note(`${number(live.skipped)} older records were not drawn: choose a filter`));
    live.skipped = 0;
  }
  rows.reverse();
  const parent = at('rows');
  parent.prepend(...rows);
  while (parent.childElementCount > ROWS_MAX) parent.lastChild.remove();
  at('live-empty').hidden = true;
}

const note = (text) => make('li', text, { className: 'note' });
const WRONG = new Set(['silent', 'push-refused', 'ident-refused', 'join-refused']);
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });

function rowOf(record) {
  if (record.dropped !== undefined) return note(`${number(record.dropped)} records were dropped${record.node ? ` on ${record.node}` : ''}: they were not read in time`);
  const type = make('b', record.type);
  if (WRONG.has(record.type)) type.dataset.kind = 'wrong';
  const button = put(make('button', '', { type: 'button', className: 'row', ariaExpanded: 'false' }), make('time', clock.format(record.at)), type, make('span', summary(record)));
  const row = put(make('li'), button);
  live.records.set(row, record);
  return row;
}

/** What is said of a record in one line. */
function summary({ action, event, users, channel, targets, connection, bytes: size, reached, rule, field, reason, method, transport, address, node: name, cluster_node: place, count }) {
  const parts = [action, event, users?.join(', '), channel, targets && targetsOf(targets)];
  if (size !== undefined) parts.push(`${number(size)} bytes`);
  if (reached !== undefined) parts.push(`reached ${number(reached)}`);
  if (count !== undefined) parts.push(`concerned ${number(count)}`);
  parts.push(rule, field, reason, method && `by ${method}`, transport, name, place !== undefined && `node ${place}`, connection, address);
  return parts.filter(Boolean).join(' · ');
}

function targetsOf({ users, channels, broadcast, more }) {
  const some = (names, what) => (names.length === 0 ? '' : `${what} ${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''}`);
  return `to ${[some(users, 'user'), some(channels, 'channel'), broadcast ? 'everyone' : '', more > 0 ? `${more} more` : ''].filter(Boolean).join(', ')}`;
}

/** Opens or closes a row. One that is open would run away from its reader, so the view pauses. */
function toggle(button) {
  const row = button.parentElement;
  const isOpen = button.ariaExpanded === 'true';
  button.ariaExpanded = String(!isOpen);
  if (isOpen) return row.lastChild.remove();
  pause(true);
  const { payload, payload_start, ...record } = live.records.get(row);
  const details = make('div', '', { className: 'details' });
  const { connection, users = [], channel, targets = { users: [], channels: [] }, position } = record;
  put(details, put(
    make('span', '', { className: 'links' }),
    ...(connection ? [link('connections', connection, `connection ${connection}`)] : []),
    ...[...users, ...targets.users].slice(0, HISTORY).map((name) => link('users', name, `user ${name}`)),
    ...[...(channel ? [channel] : []), ...targets.channels].slice(0, HISTORY).map((name) => link('channels', name, `channel ${name}`)),
    ...(position ? [link('trace', position, `trace ${position}`)] : []),
  ));
  if (payload !== undefined) details.append(pre(payload));
  else if (payload_start !== undefined) details.append(make('pre', `${payload_start}…`, { tabIndex: 0 }));
  else if (record.type === 'push') details.append(make('p', payloadHint(), { className: 'hint' }));
  details.append(make('pre', JSON.stringify(record), { tabIndex: 0 }));
  row.append(details);
}

const payloadHint = () => (node?.payloads ? 'Tick Payloads to see those of later pushes.' : 'Payloads are shown only where admin_token is set.');

function pause(isPaused) {
  if (live.isPaused === isPaused) return;
  live.isPaused = isPaused;
  at('pause').textContent = isPaused ? 'Resume' : 'Pause';
  if (isPaused) {
    draw({ isAll: true });
    stopLive('paused: nothing is asked of the server');
  } else {
    if (at('rows').childElementCount > 0) at('rows').prepend(note(`resumed at ${clock.format(Date.now())}`));
    watch();
  }
}

// Pushes.

const names = (text) => text.split(',').map((name) => name.trim()).filter((name) => name !== '');

/** The push that the form says. Throws a text about what is wrong. */
function readPush() {
  const { event, users, channels, broadcast, payload } = at('push').elements;
  const targets = {
    ...(names(users.value).length > 0 && { users: names(users.value) }),
    ...(names(channels.value).length > 0 && { channels: names(channels.value) }),
    ...(broadcast.checked && { broadcast: true }),
  };
  // In JSON a tab stands only between two tokens. Pasted into a shell it would complete a word.
  const text = payload.value.trim().replaceAll('\t', '  ') || '{}';
  let isJson = true;
  try {
    JSON.parse(text);
  } catch {
    isJson = false;
  }
  payload.ariaInvalid = String(!isJson);
  if (event.value === '') throw 'The event has no name.';
  if (Object.keys(targets).length === 0) throw 'To whom? Name users or channels, or choose everyone.';
  if (!isJson) throw 'The payload is no JSON. A text needs quotes: "hello".';
  const body = `{\n  "event": ${JSON.stringify(event.value)},\n  "targets": ${JSON.stringify(targets)},\n  "payload": ${text}\n}`;
  return { event: event.value, targets, payload: text, body };
}

/** A word of a shell: in single quotes nothing is special but the single quote. zsh takes `=ls` for the path of `ls`. */
const word = (text) => (/^(?!=)[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function showCommands() {
  const url = node?.push_url ?? USUAL_URL;
  const isOpen = node?.open.includes('push');
  try {
    const { event, targets, payload, body } = readPush();
    const password = isOpen ? [] : ['--header "Authorization: Bearer $TURTED_PUSH_PASSWORD"'];
    at('curl').textContent = [`curl ${word(url)}`, ...password, `--data ${word(body)}`].join(' \\\n  ');
    const { users = [], channels = [], broadcast } = targets;
    const options = [
      ...(url === USUAL_URL ? [] : [`--url ${word(url)}`]),
      ...users.map((name) => `--user=${word(name)}`),
      ...channels.map((name) => `--channel=${word(name)}`),
      ...(broadcast ? ['--broadcast'] : []),
    ];
    // What begins with a dash would be taken for an option.
    const name = event.startsWith('-') ? `-- ${word(event)}` : word(event);
    at('turted').textContent = [['turted push', ...options].join(' '), name, word(payload)].join(' \\\n  ');
  } catch (fault) {
    at('curl').textContent = at('turted').textContent = fault;
  }
}

async function push() {
  try {
    const { body } = readPush();
    const { delivered, id } = await read('api/v1/push', { method: 'POST', body });
    const answer = at('push-answer');
    tell(answer, `reached ${number(delivered)} `, 'right');
    answer.append(link('trace', id));
  } catch (error) {
    tell(at('push-answer'), typeof error === 'string' ? error : reasonOf(error), 'wrong');
  }
}

// Actions.

/** A button that does something that cannot be taken back: a second click within ten seconds does it, but no double click. */
function actionButton(text, label, act) {
  const button = make('button', text, { type: 'button', className: 'danger', ariaLabel: visible(label) });
  let sure = 0;
  button.addEventListener('click', () => {
    if (button.ariaDisabled === 'true') return;
    clearTimeout(sure);
    if (button.dataset.sure === undefined) {
      button.dataset.sure = '';
      button.ariaDisabled = 'true';
      setTimeout(() => { button.ariaDisabled = 'false'; }, DOUBLE_CLICK_MS);
      [button.textContent, button.ariaLabel] = ['Sure?', visible(`Sure? ${label}`)];
      sure = setTimeout(reset, SURE_MS);
    } else {
      reset();
      act();
    }
  });
  function reset() {
    delete button.dataset.sure;
    [button.textContent, button.ariaLabel] = [visible(text), visible(label)];
  }
  return button;
}

async function change(method, path, body) {
  tell(at('action-answer'), '');
  try {
    const done = await read(path, { method, body: body && JSON.stringify(body) });
    const counts = Object.entries(done).filter(([, count]) => typeof count === 'number').map(([what, count]) => `${what} ${number(count)}`);
    const notes = [
      done.away > 0 && 'Who is away has the channel still when it comes back',
      done.on_disk && 'It is not recorded: the log has them still, and a start may bring them back',
    ].filter(Boolean);
    tell(at('action-answer'), [`Done: ${counts.join(', ')}`, ...notes].join('. '), 'right');
    await showEntry(entry.kind, entry.name, { keepFocus: true });
  } catch (error) {
    tell(at('action-answer'), reasonOf(error), 'wrong');
  }
}

const field = (text, properties) => put(make('label', text), make('input', '', properties));

function showActions() {
  const { kind, name, found } = entry;
  const parent = at('actions');
  // What was typed, and where the focus is, stays while the entry is refreshed.
  const of = JSON.stringify([node?.actions, found !== null, kind, name]);
  if (parent.dataset.of === of) return;
  parent.dataset.of = of;
  if (node === null || node.actions !== 'allowed') {
    const off = 'Set admin_write_token to push and to change something here.';
    const refused = 'This token only reads. Enter admin_write_token to push and to change something.';
    parent.replaceChildren(make('p', node?.actions === 'refused' ? refused : off, { className: 'hint' }));
  } else if (found !== null && (kind === 'users' || kind === 'connections')) {
    parent.replaceChildren(...connectionActions(kind, kind === 'connections' ? found.id : name));
  } else if (found !== null && kind === 'channels') {
    parent.replaceChildren(...channelActions(name));
  } else {
    parent.replaceChildren(make('p', 'Choose a user, a channel or a connection first.', { className: 'hint' }));
  }
}

function connectionActions(kind, name) {
  const [reason, channel] = [field('Reason, told to the client', { maxLength: REASON_BYTES }), field('Channel')];
  const back = put(make('label', '', { className: 'check' }), make('input', '', { type: 'checkbox', checked: true }), ' It may come back');
  const of = kind === 'users' ? `user ${name}` : `connection ${name}`;
  return [
    reason,
    back,
    put(make('p', '', { className: 'act' }), actionButton('Disconnect', `Disconnect ${of}`, () => {
      const told = reason.lastChild.value;
      if (new TextEncoder().encode(told).length > REASON_BYTES) return tell(at('action-answer'), `The reason has more than ${REASON_BYTES} bytes.`, 'wrong');
      return change('POST', pathOf(kind, name, '/disconnect'), { come_back: back.firstElementChild.checked, ...(told && { reason: told }) });
    })),
    channel,
    put(make('p', '', { className: 'act' }), actionButton('Remove from channel', `Remove from channel: ${of}`, () =>
      change('POST', pathOf('channels', channel.lastChild.value, '/remove'), kind === 'users' ? { user: name } : { connection: name }))),
  ];
}

function channelActions(name) {
  const user = field('User');
  return [
    user,
    put(make('p', '', { className: 'act' }), actionButton('Remove from channel', `Remove from channel ${name}`, () =>
      change('POST', pathOf('channels', name, '/remove'), { user: user.lastChild.value }))),
    put(make('p', '', { className: 'act' }), actionButton('Delete history', `Delete history of channel ${name}`, () =>
      change('DELETE', pathOf('channels', name, '/history')))),
  ];
}

// What the operator does.

/** Runs `action` instead of sending a form. */
function onSubmit(id, action) {
  at(id).addEventListener('submit', (submission) => {
    submission.preventDefault();
    action();
  });
}

const onClick = (id, action) => at(id).addEventListener('click', action);

onSubmit('token-form', () => useToken(at('token-form').elements.token.value.trim()));
onClick('forget-token', () => useToken(''));
onClick('change-token', () => at('token-dialog').showModal());
at('token-dialog').addEventListener('close', () => {
  tell(at('token-state'), '');
  look();
  if (hasBegun) watch();
});
at('kinds').addEventListener('change', ({ target }) => chooseKind(target.value));
onSubmit('search', search);
onClick('list-more', showList);
onClick('entry-again', () => showEntry(entry.kind, entry.name, { keepFocus: true }));
onSubmit('filter', () => (live.isPaused ? pause(false) : watch()));
at('filter').elements.text.addEventListener('input', showAll);
onClick('pause', () => pause(!live.isPaused));
onClick('clear', () => {
  live.waiting.length = 0;
  at('rows').replaceChildren();
  at('live-empty').hidden = false;
});
onClick('rows', ({ target }) => {
  const button = target.closest('.row');
  if (button) toggle(button);
});
onSubmit('push', () => node?.actions === 'allowed' && push());
at('push').addEventListener('input', showCommands);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return stopLive('waiting');
  look();
  watch();
});

/** Shows what depends on the server and on the token, once both are known. */
function begin() {
  if (hasBegun) return;
  hasBegun = true;
  at('payload-field').hidden = !node.payloads;
  at('push-button').hidden = node.actions !== 'allowed';
  at('commands').open = node.actions !== 'allowed';
  showCommands();
  showActions();
  showList();
  watch();
}

setInterval(look, SAMPLE_MS);
setInterval(() => draw(), DRAW_MS);
look();
