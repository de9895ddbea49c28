// Which client joined which room: as small as a server would have it that uses no library for rooms.
'use strict';

exports.Rooms = class Rooms {
  #members = new Map();
  #all = new Map();

  /** Adds a client that is in no room yet. */
  add(client) {
    this.#all.set(client, new Set());
  }

  join(client, room) {
    if (!this.#members.has(room)) this.#members.set(room, new Set());
    this.#members.get(room).add(client);
    this.#all.get(client).add(room);
  }

  remove(client) {
    for (const room of this.#all.get(client) ?? []) {
      const members = this.#members.get(room);
      members.delete(client);
      if (members.size === 0) this.#members.delete(room);
    }
    this.#all.delete(client);
  }

  /** All clients, in whatever rooms. */
  clients() {
    return this.#all.keys();
  }

  /** The clients that a push is for, each once. */
  receivers(targets) {
    if (targets.broadcast) return this.#all.keys();
    const names = (targets.users ?? []).map((name) => `user:${name}`);
    names.push(...(targets.channels ?? []).map((name) => `channel:${name}`));
    const found = names.map((name) => this.#members.get(name)).filter(Boolean);
    return found.length === 1 ? found[0] : new Set(found.flatMap((room) => [...room]));
  }
};
