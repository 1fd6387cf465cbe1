// One socket for the rooms that a page shows one after the other: the next room is asked for over the socket of the
// one before. Given to `connect` as `WebSocket`.
import { newId } from "../page/ids.js";

const OPEN = 1;

export class Line {
  #rests = null; // {socket, room}: open, and nobody listens to it
  #keeps = false;

  /** `WebSocket` is the browser's, or a test's. */
  constructor(WebSocket = globalThis.WebSocket) {
    const line = this;
    /** What the transport takes for a WebSocket. */
    this.WebSocket = class extends RoomSocket {
      constructor(url) {
        super(url, line.#taken() ?? { socket: new WebSocket(url) });
      }
      close() {
        this.silence();
        if (line.#keeps && this.socket.readyState === OPEN) line.#put(this);
        else this.socket.close();
      }
    };
  }

  /** Runs `leave`, which ends the connection to a room: its socket stays open for the next room. */
  keep(leave) {
    this.#keeps = true;
    try {
      leave();
    } finally {
      this.#keeps = false;
    }
  }

  #put({ socket, room }) {
    this.#rests?.socket.close();
    this.#rests = { socket, room };
  }

  #taken() {
    const rests = this.#rests;
    this.#rests = null;
    return rests?.socket.readyState === OPEN ? rests : null;
  }
}

/** A socket as one room has it. */
class RoomSocket {
  onmessage = null;
  onclose = null;
  #left = null; // the client_id of the `unsubscribe` that has no answer yet
  isKept = false; // of another room before

  /** `before` is the room that had the socket, if one had. */
  constructor(url, { socket, room: before }) {
    const { room, after } = Object.fromEntries(url.searchParams);
    Object.assign(this, { socket, room });
    socket.onmessage = (event) => this.#heard(event);
    socket.onclose = (event) => this.onclose?.(event);
    if (before === undefined) return; // the address says what is asked for
    this.isKept = true;
    this.#left = newId();
    this.send(JSON.stringify({ command: "unsubscribe", room: before, client_id: this.#left }));
    this.send(JSON.stringify({ command: "subscribe", room, after }));
  }

  send(text) {
    this.socket.send(text);
  }

  silence() {
    this.socket.onmessage = this.socket.onclose = null;
  }

  /** What comes of a room before that answer is of the room before: no event of that one follows the answer. */
  #heard(event) {
    if (this.#left === null) {
      this.onmessage?.(event);
      return;
    }
    const { command, client_id: id } = JSON.parse(event.data);
    if (id === this.#left) this.#left = null;
    else if (command === "inbox" || command === "news") this.onmessage?.(event); // the account's, in whatever room
  }
}
