// One WebSocket for all rooms that a page shows, one after the other: the page unsubscribes from the room that it
// leaves and subscribes to the next one over the same connection.
import { newId } from "../page/ids.js";

const OPEN = 1;

export class SharedSocket {
  #idle = null; // {socket, room}: an open connection without a listener, and the room that had it
  #keeping = false; // while `keep` runs: `close` leaves the connection open

  /** `WebSocket` is the browser's, or a test's. */
  constructor(WebSocket = globalThis.WebSocket) {
    const shared = this;
    /** The class that `connect` takes in place of the browser's WebSocket. */
    this.WebSocket = class extends RoomSocket {
      constructor(url) {
        super(url, shared.#takeIdle() ?? { socket: new WebSocket(url) });
      }
      close() {
        this.silence();
        if (shared.#keeping && this.socket.readyState === OPEN) shared.#park(this);
        else this.socket.close();
      }
    };
  }

  /** Runs `leave`, which closes the connection to a room; the socket stays open for the next room. */
  keep(leave) {
    this.#keeping = true;
    try {
      leave();
    } finally {
      this.#keeping = false;
    }
  }

  #park({ socket, room }) {
    this.#idle?.socket.close();
    this.#idle = { socket, room };
  }

  #takeIdle() {
    const idle = this.#idle;
    this.#idle = null;
    return idle?.socket.readyState === OPEN ? idle : null;
  }
}

/** The shared socket as the connection to one room sees it. */
class RoomSocket {
  onmessage = null;
  onclose = null;
  #unsubscribing = null; // the client_id of the `unsubscribe` that has no answer yet
  isReused = false; // another room had the socket before

  /** `before` is the room that had the socket, if one had. */
  constructor(url, { socket, room: before }) {
    const { room, after } = Object.fromEntries(url.searchParams);
    Object.assign(this, { socket, room });
    socket.onmessage = (event) => this.#heard(event);
    socket.onclose = (event) => this.onclose?.(event);
    if (before === undefined) return; // the address subscribes to the room
    this.isReused = true;
    this.#unsubscribing = newId();
    this.send(JSON.stringify({ command: "unsubscribe", room: before, client_id: this.#unsubscribing }));
    this.send(JSON.stringify({ command: "subscribe", room, after }));
  }

  send(text) {
    this.socket.send(text);
  }

  silence() {
    this.socket.onmessage = this.socket.onclose = null;
  }

  /** Drops events until the `unsubscribe` is answered: those are of the room before, and none follows the answer. */
  #heard(event) {
    if (this.#unsubscribing === null) {
      this.onmessage?.(event);
      return;
    }
    const { command, client_id: id } = JSON.parse(event.data);
    if (id === this.#unsubscribing) this.#unsubscribing = null;
    else if (command === "inbox" || command === "news") this.onmessage?.(event); // of the account, not of a room
  }
}
