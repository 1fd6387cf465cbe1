// One transport at work, from its start to its end: what it hears, how far it is, what is asked over it.
import { Ended } from "../transports/ended.js";
import { seqOf } from "../cursor.js";
import { Problem } from "../problem.js";

export class Session {
  #control = new AbortController();
  #silence = null;
  #previousHead = 0;
  #asked = new Map(); // client_id → the promise of its answer
  #socket = null;
  #probing = false;
  isProved = false;
  isLive = false;

  /** `run` is the transport, `owner` the connection: its settings, cursor and `deliver`. */
  constructor(name, run, owner) {
    this.name = name;
    this.owner = owner;
    ({
      api: this.api,
      base: this.base,
      room: this.room,
      origin: this.origin,
      random: this.random,
      interval: this.interval,
      WebSocket: this.WebSocket,
      locks: this.locks,
      Channel: this.Channel,
      holds: this.holds,
      inbox: this.inbox,
    } = owner);
    this.heard();
    /** Resolves to the reason why it ended; never rejects. */
    this.done = run(this, this.#control.signal)
      .catch((reason) => reason)
      .finally(() => this.#end());
  }

  end(reason) {
    this.#control.abort(reason);
  }

  #end() {
    clearTimeout(this.#silence);
    this.#control.abort();
    for (const { reject } of this.#asked.values()) reject(new Ended("The connection was lost."));
    this.#asked.clear();
    this.#socket = null;
  }

  // What the transports call.
  cursor() {
    return this.owner.cursor;
  }
  inboxCursor() {
    return this.owner.inbox.cursor;
  }
  inboxTold(envelope) {
    this.owner.inboxTold(envelope);
  }
  typingTold(envelope) {
    this.owner.typingTold(envelope);
  }
  deliver(event, isAnswer) {
    return this.owner.deliver(event, isAnswer);
  }
  caughtUp(cursor) {
    this.isLive = true;
    this.owner.caughtUp(this, cursor);
  }
  proved() {
    this.isProved = true;
    this.owner.proved(this);
  }
  opened(socket) {
    this.#socket = socket;
  }

  heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.end(new Ended("Nothing was heard.")), this.owner.silence);
    if (!this.#probing) return;
    this.#probing = false;
    this.owner.caughtUp(this, this.owner.cursor);
  }

  /** False where this page is still behind the head of the heartbeat before this one. */
  keepsUp(head) {
    const behind = this.owner.seq < this.#previousHead;
    this.#previousHead = head === undefined ? 0 : seqOf(head);
    return !behind;
  }

  answered({ command, client_id: id, ...answer }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (command === "error") asked?.reject(new Problem(answer.error));
    else asked?.resolve(answer);
  }

  /** Resolves after the milliseconds, or sooner when the page wakes the connection. */
  pause(milliseconds, signal = this.#control.signal) {
    return this.owner.pause(milliseconds, signal);
  }

  // What the connection calls.
  get canAsk() {
    return this.#socket !== null;
  }

  /** Sends an envelope that has a client_id; a promise of its answer, for at most 15 s. */
  ask(envelope) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Ended("No answer.")), 15_000);
      const settle = (how) => (value) => {
        clearTimeout(late);
        how(value);
      };
      this.#asked.set(envelope.client_id, { resolve: settle(resolve), reject: settle(reject) });
      this.#socket.send(JSON.stringify(envelope));
    });
  }

  /** Says over the socket that somebody writes; a refusal is nobody's business. */
  typing(user) {
    this.#socket?.send(JSON.stringify({ command: "typing", room: this.room, user, client_id: "typing" }));
  }

  /** Is the socket alive? After sleep it may look open and be dead. */
  probe(within = 5_000) {
    this.#socket.send(JSON.stringify({ command: "ping" }));
    clearTimeout(this.#silence);
    this.#probing = true;
    this.#silence = setTimeout(() => this.end(new Ended("Nothing was heard.", { atOnce: true })), within);
  }
}
