'use strict';
// The page /demo: it identifies a user, joins channels, shows events as they come, and pushes. What users and backends
// say is shown as text, never read as HTML.

/* global TURTED */

/** Rows of the log, so that a page that stays open stays small. */
const ROWS_MAX = 200;
/** Characters of a payload that are shown. */
const SHOWN_MAX = 2_000;
/** Where `turted push` pushes without `--url`. */
const USUAL_URL = 'http://127.0.0.1:7117/push/';

const { websocket, sockjs, push: pushPath, identNeeds, pushNeeds } = document.documentElement.dataset;
const query = new URLSearchParams(location.search);
const turted = new TURTED(location.origin, { paths: { websocket, sockjs } });

const at = (id) => document.getElementById(id);
const make = (tag, text = '', properties = {}) =>
  Object.assign(document.createElement(tag), { textContent: text, ...properties });

/** Says in an element what came of something; `kind` is `right`, `wrong` or nothing. */
function tell(element, text, kind = '') {
  element.textContent = text;
  element.dataset.kind = kind;
}

const reasonOf = (error) => error.reason ?? error.message;

// The connection.

turted.onState((state, { reason } = {}) => {
  at('state').textContent = reason && state !== 'connected' ? `${state}: ${reason}` : state;
  at('state').dataset.state = state;
  at('switch').textContent = state === 'closed' ? 'Connect' : 'Disconnect';
});
at('switch').addEventListener('click', () => (turted.state === 'closed' ? turted.connect() : turted.close()));

// Who am I?

/** What an IDENT has to show: the fields that ask for it, the label of the secret, and the data. */
const IDENTS = {
  nothing: { fields: ['name'], data: (username) => ({ username }) },
  password: { fields: ['name', 'secret'], label: 'Password', data: (username, password) => ({ username, password }) },
  token: { fields: ['name', 'secret'], label: 'Token', data: (username, token) => ({ username, token }) },
  jwt: { fields: ['secret'], label: 'JSON Web Token', data: (_, token) => ({ token }) },
  data: { fields: ['data'], data: (_name, _secret, data) => JSON.parse(data) },
};

function prepareIdent() {
  const { fields, label } = IDENTS[identNeeds];
  for (const field of ['name', 'secret', 'data']) at(`${field}-field`).hidden = !fields.includes(field);
  at('secret-field').firstElementChild.textContent = label ?? '';
  const name = query.get('user') ?? 'adam';
  at('ident').elements.username.value = name;
  const other = name === 'eve' ? 'adam' : 'eve';
  Object.assign(at('another'), { href: `?user=${other}`, textContent: `Open a second tab as ${other}` });
  at('another').hidden = identNeeds !== 'nothing';
}

async function ident() {
  try {
    const { username, secret, data } = at('ident').elements;
    await turted.ident(IDENTS[identNeeds].data(username.value, secret.value, data.value));
    tell(at('user'), `You are ${turted.user}.`, 'right');
  } catch (error) {
    tell(at('user'), `Refused: ${reasonOf(error)}`, 'wrong');
  }
}

// Channels.

const channels = new Map();

async function join(channel) {
  if (channel === '' || channels.has(channel)) return;
  channels.set(channel, null);
  try {
    await turted.join(channel);
    const row = make('li', channel);
    row.append(make('button', 'Leave', { type: 'button', ariaLabel: `Leave ${channel}`, onclick: () => leave(channel) }));
    channels.set(channel, row);
    at('channels').append(row);
    tell(at('joined'), '');
  } catch (error) {
    channels.delete(channel);
    tell(at('joined'), `${channel}: ${reasonOf(error)}`, 'wrong');
  }
}

async function leave(channel) {
  channels.get(channel)?.remove();
  channels.delete(channel);
  // The button that had the focus is gone.
  at('join').elements.channel.focus();
  try {
    await turted.leave(channel);
    tell(at('joined'), `Left ${channel}.`);
  } catch (error) {
    tell(at('joined'), `${channel}: ${reasonOf(error)}`, 'wrong');
  }
}

// Events.

let willScroll = false;

/** Adds a row, and shows it if the last one was in sight. */
function addRow(row) {
  const log = at('events');
  if (!willScroll && log.scrollHeight - log.scrollTop - log.clientHeight < 40) {
    willScroll = true;
    requestAnimationFrame(() => {
      willScroll = false;
      log.scrollTop = log.scrollHeight;
    });
  }
  log.append(row);
  if (log.childElementCount > ROWS_MAX) log.firstElementChild.remove();
  at('empty').hidden = true;
}

/** Why an event came. */
function reasonFor(via) {
  if (via.user !== undefined) return `by user ${via.user}`;
  return via.channel === undefined ? 'by broadcast' : `by channel ${via.channel}`;
}

/** A message of the chat as `from: text`, any other payload as JSON. */
function describe(payload) {
  const { from, text } = payload ?? {};
  const isMessage = typeof from === 'string' && typeof text === 'string' && Object.keys(payload).length === 2;
  if (!isMessage) return make('div', shortened(JSON.stringify(payload)), { className: 'json' });
  const line = make('div');
  line.append(make('strong', shortened(from)), `: ${shortened(text)}`);
  return line;
}

const shortened = (text) => (text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text);

function showEvent(payload, { event, via }) {
  const about = make('div', '', { className: 'about' });
  about.append(make('b', event), make('span', reasonFor(via)), make('time', new Date().toLocaleTimeString()));
  const row = make('div');
  row.append(about, describe(payload));
  addRow(row);
}

/** Something that is no event, but belongs between them. */
function showFault(text) {
  const row = make('div');
  tell(row, text, 'wrong');
  addRow(row);
}

turted.on('*', showEvent);
turted.onGap(() => showFault('Something was missed. A real page fetches anew what it shows.'));
turted.onError((error) => {
  showFault(reasonOf(error));
  if (error.code === 'token-expired') tell(at('user'), 'Nobody any more: the token has expired.', 'wrong');
});

// The push.

const names = (text) => text.split(',').map((name) => name.trim()).filter((name) => name !== '');

/** The push that the form says. Throws a text about what is wrong. */
function readPush() {
  const { event, users, channels, broadcast, payload } = at('push').elements;
  const all = { users: names(users.value), channels: names(channels.value), broadcast: broadcast.checked };
  const targets = Object.fromEntries(Object.entries(all).filter(([, target]) => target.length ?? target));
  // In JSON a tab stands only between two tokens. Pasted into a shell it would complete a word.
  const text = payload.value.trim().replaceAll('\t', '  ') || '{}';
  const isJson = attempt(() => JSON.parse(text)) !== undefined;
  payload.ariaInvalid = String(!isJson);
  if (event.value === '') throw 'The event has no name.';
  if (Object.keys(targets).length === 0) throw 'To whom? Name users or channels, or choose everyone.';
  if (!isJson) throw 'The payload is no JSON. A text needs quotes: "hello".';
  const body = `{\n  "event": ${JSON.stringify(event.value)},\n  "targets": ${JSON.stringify(targets)},\n  "payload": ${text}\n}`;
  return { event: event.value, targets, payload: text, body, url: new URL(pushPath, location.origin).href };
}

function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}

async function sendPush() {
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  const password = at('push').elements.password.value;
  if (password !== '') headers.Authorization = `Bearer ${password}`;
  try {
    const { body, url } = readPush();
    const answer = await fetch(url, { method: 'POST', headers, body });
    const text = await answer.text();
    const detail = attempt(() => JSON.parse(text).detail) ?? text;
    tell(at('answer'), `${answer.status} ${detail}`, answer.ok ? 'right' : 'wrong');
  } catch (error) {
    tell(at('answer'), typeof error === 'string' ? error : `No answer: ${error.message}`, 'wrong');
  }
}

// The same push from elsewhere. A password is named by its variable, never shown.

/** A word of a shell: in single quotes nothing is special but the single quote. zsh takes `=ls` for the path of `ls`. */
const word = (text) => (/^(?!=)[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
/** A string of PHP: in single quotes only the single quote and the backslash are special. */
const phpString = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`;

const SNIPPETS = {
  curl({ url, body }) {
    const password = pushNeeds === 'password' ? ['--header "Authorization: Bearer $TURTED_PUSH_PASSWORD"'] : [];
    return [`curl ${word(url)}`, "--header 'Accept: application/json'", ...password, `--data ${word(body)}`].join(' \\\n  ');
  },
  turted({ url, event, targets, payload }) {
    const { users = [], channels = [], broadcast } = targets;
    const options = [
      ...(url === USUAL_URL ? [] : [`--url ${word(url)}`]),
      ...users.map((name) => `--user=${word(name)}`),
      ...channels.map((name) => `--channel=${word(name)}`),
      ...(broadcast ? ['--broadcast'] : []),
    ];
    // What begins with a dash would be taken for an option.
    const name = event.startsWith('-') ? `-- ${word(event)}` : word(event);
    const command = [['turted push', ...options].join(' '), name, word(payload)].join(' \\\n  ');
    return pushNeeds === 'password' ? `# The variable TURTED_PUSH_PASSWORD has the password.\n${command}` : command;
  },
  php({ url, body }) {
    const password = pushNeeds === 'password' ? ["'Authorization: Bearer ' . getenv('TURTED_PUSH_PASSWORD')"] : [];
    const headers = ["'Accept: application/json'", "'Content-Type: application/json'", ...password];
    return `<?php
echo file_get_contents(${phpString(url)}, false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => [${headers.join(', ')}],
    'content' => ${phpString(body)},
    'ignore_errors' => true,
]]));`;
  },
};

function showSnippet() {
  const { value } = document.querySelector('[name=language]:checked');
  try {
    at('snippet').textContent = SNIPPETS[value](readPush());
  } catch (fault) {
    at('snippet').textContent = fault;
  }
  at('copied').textContent = '';
}

async function copySnippet() {
  try {
    await navigator.clipboard.writeText(at('snippet').textContent);
    at('copied').textContent = 'Copied.';
  } catch {
    // Browsers allow it only to pages of https and of this machine.
    getSelection().selectAllChildren(at('snippet'));
    at('copied').textContent = 'Selected: copy it with the keyboard.';
  }
}

// What the user does.

/** Runs `action` instead of sending a form. */
function onSubmit(id, action) {
  at(id).addEventListener('submit', (submission) => {
    submission.preventDefault();
    action();
  });
}

onSubmit('ident', ident);
onSubmit('join', () => {
  const { channel } = at('join').elements;
  join(channel.value.trim());
  channel.value = '';
});
onSubmit('push', sendPush);
at('push').addEventListener('input', showSnippet);
at('languages').addEventListener('change', showSnippet);
at('copy').addEventListener('click', copySnippet);
at('clear').addEventListener('click', () => {
  at('events').replaceChildren();
  at('empty').hidden = false;
});

at('password-field').hidden = pushNeeds !== 'password';
prepareIdent();
showSnippet();
if (identNeeds === 'nothing') ident();
join(query.get('channel') ?? 'chat');
