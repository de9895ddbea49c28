// Components of React that use the client library, in StrictMode. `open(name, url)` shows one of them.

import { createElement, StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

/* global TURTED */

/** The payloads that come in a channel while a component is there. */
function useChannel(turted, channel) {
  const [payloads, setPayloads] = useState([]);
  useEffect(() => {
    if (!turted) return undefined;
    const off = turted.on('*', (payload, { via }) => {
      if (via.channel === channel) setPayloads((before) => [...before, payload]);
    });
    turted.join(channel);
    return () => {
      off();
      turted.leave(channel);
    };
  }, [turted, channel]);
  return payloads;
}

const Chat = ({ turted, id }) => createElement('p', { id }, useChannel(turted, 'chat').join(' '));

/** A client for the whole page, and two components that share a channel. */
function shared(url) {
  const turted = new TURTED(url);
  return function Shared() {
    const [shown, show] = useState(['one', 'two']);
    window.show = show;
    return shown.map((id) => createElement(Chat, { key: id, id, turted }));
  };
}

/** A client that lives as long as its component. */
function own(url) {
  return function Own() {
    const [turted, setTurted] = useState();
    useEffect(() => {
      const client = new TURTED(url);
      setTurted(client);
      return () => client.close();
    }, []);
    return createElement(Chat, { id: 'one', turted });
  };
}

window.open = (name, url) => {
  const App = { shared, own }[name](url);
  const place = document.body.appendChild(document.createElement('main'));
  const root = createRoot(place);
  root.render(createElement(StrictMode, null, createElement(App)));
  window.unmount = () => root.unmount();
};
