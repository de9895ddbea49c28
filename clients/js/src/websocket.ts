// turted.v1 over a WebSocket.

import { BROKEN, type Link, type LinkEvents } from './link';
import type { WebSocketClass } from './types';

export function openWebSocket(WebSocket: WebSocketClass, url: string, on: LinkEvents): Link {
  const broken = (reason: string) => on._closed({ code: BROKEN, reason });
  try {
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => on._message(data);
    socket.onclose = ({ code, reason }) => on._closed({ code, reason });
    // An error is the end. Some WebSockets of node send no `close` after it, and `ws` throws it if nobody listens.
    socket.onerror = ({ message }) => broken(message);
    return {
      _send: (text) => socket.send(text),
      _close() {
        // The WebSocket of node tells of its end before `close` returns.
        socket.onclose = socket.onerror = () => {};
        socket.close();
      },
    };
  } catch (error) {
    // A policy of the page forbids the connection, for instance.
    queueMicrotask(() => broken(String(error)));
    return { _send() {}, _close() {} };
  }
}
