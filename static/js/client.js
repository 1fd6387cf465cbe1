// The strategy of the protocol (§1): every event exactly once and in order, over any transport,
// from one cursor. It knows no page. Times are in milliseconds. For other pages too: docs/reference/js-client.md.
import { Api, baseOf } from "./api.js";
import { Backoff } from "./backoff.js";
import { subjectOf } from "./outbox/commands.js";
import { isOldest, seqOf } from "./cursor.js";
import { deliverer, insist, Lanes } from "./live/deliver.js";
import { Holds } from "./live/holds.js";
import { Inbox } from "./reader/inbox.js";
import { eventsOf } from "./iterate.js";
import { Problem, reasonOf } from "./problem.js";
import { Session } from "./live/session.js";
import { longPoll, shortPoll } from "./transports/polling.js";
import { Ended, Missing } from "./transports/ended.js";
import { websocket } from "./transports/websocket.js";

const RUN = { websocket, "long-poll": longPoll, "short-poll": shortPoll };
const DEFAULTS = {
  room: "lobby",
  after: "now",
  transports: ["websocket", "long-poll", "short-poll"],
  interval: 2_000,
  betterAfter: 60_000,
  more: {}, // other transports
  atOnce: false, // begins before `connect` returns, for a caller that listens within the same task
  tries: 3,
  stableAfter: 5_000,
  silence: 45_000,
};

export { Api, Problem };

/**
 * Opens a connection and reads from the next moment on, so that listeners can be added first.
 * @param {import("./types.js").Options} [options]
 * @returns {Connection}
 */
export const connect = (options) => new Connection(options);

/** The news with which reading stops, by the code of the problem. */
const ENDS = {
  "cursor-invalid": "reset",
  // There is no such room, or not any more, or it is not for this reader: a snapshot would be refused too.
  "room-unknown": "gone",
  // The session, token or account has ended: nothing is read before somebody signs in again.
  unauthenticated: "signed-out",
};

/**
 * With the option `inbox` it dispatches `inbox` too ({cursor, rooms}: all of it, as it is now), and `news` (the rooms
 * that have moved).
 *
 * `typing` tells who writes just now: [{id?, user}], to be shown for five seconds; it may be lost.
 *
 * Dispatches CustomEvents with their news in `detail`: `event` (`ChatEvent`), each once and in order;
 * `status` (`Status`); `reset` ({@link Problem}), where the cursor cannot be served any more: take a new
 * snapshot, show it, and `resume(snapshot.cursor)`; `gone` and `signed-out` ({@link Problem}), after which there is
 * nothing to read. It is an async iterator of events too.
 */
export class Connection extends EventTarget {
  #cursor;
  #level = 0;
  #failures = 0;
  #session = null; // the transport in use
  #trial = null; // a better one, tried beside it
  #next = null; // the trial that succeeded
  #nudge = () => {}; // ends the present pause
  #state = "connecting";
  #bestWorked = false;
  #missedAt = null; // the cursor behind which events were missing last
  #lanes = new Lanes();

  constructor(options) {
    super();
    Object.assign(
      this,
      DEFAULTS,
      {
        base: baseOf(options?.url),
        origin: globalThis.location?.origin,
        WebSocket: globalThis.WebSocket,
        locks: globalThis.navigator?.locks,
        Channel: globalThis.BroadcastChannel,
        random: Math.random,
      },
      options,
    );
    this.api ??= new Api(this);
    if (this.inbox === true) this.inbox = new Inbox();
    this.holds ??= new Holds(this.base);
    this.backoff = new Backoff({ random: this.random, ...this.backoff });
    this.#cursor = this.after;
    // Later, so that the caller can listen first.
    if (this.atOnce) this.#run();
    else queueMicrotask(() => this.#run());
  }

  [Symbol.asyncIterator]() {
    return eventsOf(this);
  }

  /** The position after the last event that was applied. */
  get cursor() {
    return this.#cursor;
  }
  /** Its number. */
  get seq() {
    return seqOf(this.#cursor);
  }
  get state() {
    return this.#state;
  }
  get transport() {
    return this.#session?.name ?? this.transports[this.#level];
  }
  /** True where `ask(envelope)` would go over an open socket. */
  get canAsk() {
    return this.#state !== "closed" && (this.#session?.canAsk ?? false);
  }
  ask(envelope) {
    return this.#session.ask(envelope);
  }

  /**
   * Sends any command of the protocol, by the open socket or by POST, and repeats it under one client_id until it
   * is answered (six attempts). Commands about one message are sent one after the other.
   * @param {object} envelope such as {command: "send-message", message: {user: "Ada", message: "Hello"}}
   * @returns {Promise<object>} its ack; rejects with {@link Problem} where it is refused
   */
  send(envelope) {
    return this.#lanes.run(subjectOf(envelope), () => insist(deliverer(this, this.api), envelope));
  }

  /**
   * Says that one writes just now, where a socket is open; one in two seconds counts.
   * @param {string} [user] the name, of somebody without an account
   */
  typing(user) {
    this.#session?.typing(user);
  }

  /** Look at once: after sleep, on coming back online, when the page is seen again. */
  wake() {
    if (this.#state === "stopped") return;
    if (this.canAsk) this.#session.probe();
    else if (this.#session?.name === "long-poll") this.#restart("Woken.");
    else this.#nudge();
  }

  /** There is reason to doubt that the connection lives: says so, and looks. */
  check() {
    if (this.#state !== "live") return;
    this.#status("checking");
    this.wake();
  }

  /** Reads on from another cursor: after `reset`, with that of the new snapshot. */
  resume(cursor) {
    const stopped = this.#state === "stopped";
    this.#cursor = cursor;
    if (stopped) this.#run();
    else this.#restart("A new snapshot.");
  }

  /** Changes the transports and keeps the cursor. */
  use(transports) {
    this.transports = transports;
    this.#level = this.#failures = 0;
    this.#restart("Another transport.");
  }

  /** As a network does: the present connection is lost. */
  cut() {
    this.#session?.end(new Ended("Cut."));
  }

  /** Ends it for good. */
  close() {
    this.#status("closed");
    this.#restart("Closed.");
  }

  #restart(why) {
    const reason = new Ended(why, { atOnce: true });
    this.#trial?.end(reason);
    this.#session?.end(reason);
    this.#nudge();
  }

  async #run() {
    this.#status("connecting");
    while (this.#state !== "closed") {
      const began = Date.now();
      const reason = await this.#attend();
      if (this.#state === "closed") return;
      const end = ENDS[reason.lostCursor ? "cursor-invalid" : reason.code];
      if (end) {
        this.#status("stopped", { problem: reason });
        this.dispatchEvent(new CustomEvent(end, { detail: reason }));
        return;
      }
      if (Date.now() - began >= this.stableAfter) this.backoff.reset();
      if (!reason.atOnce) await this.#standBack(reason);
    }
  }

  /** Runs one transport until it ends; answers why it did. */
  async #attend() {
    const session = this.#next ?? this.#start(this.#level);
    this.#next = null;
    this.#session = session;
    this.#status(session.isLive ? "live" : "connecting");
    const stop = this.#level > 0 ? this.#lookForBetter() : () => {};
    const reason = await session.done;
    stop();
    this.#session = null;
    if (reason instanceof Missing) this.#missed(reason);
    if (this.#next) this.#level = this.#failures = 0;
    else if (!session.isProved && !reason.atOnce) this.#demote();
    return reason;
  }

  /** Reads again at once from a cursor behind which events are missing. If they still are, it is a failure as any
   *  other: a server that has none to give would be asked without a pause. */
  #missed(reason) {
    if (this.#missedAt === this.#cursor) reason.atOnce = false;
    this.#missedAt = this.#cursor;
  }

  #start(level) {
    const name = this.transports[level];
    return new Session(name, this.more[name] ?? RUN[name], this);
  }

  /** After so many failures in a row comes the next transport. After the last comes the first again,
   *  since then it is the server that is away, and not one of the ways to it. */
  #demote() {
    this.#failures += 1;
    if (this.#failures < this.tries) return;
    this.#failures = 0;
    this.#level = (this.#level + 1) % this.transports.length;
  }

  #lookForBetter() {
    // What has worked before most likely works again once the server is back.
    const soon = this.#bestWorked ? setTimeout(() => this.#tryBetter(), this.betterAfter / 20) : undefined;
    const later = setInterval(() => this.#tryBetter(), this.betterAfter);
    return () => {
      clearTimeout(soon);
      clearInterval(later);
    };
  }

  /** Tries the best transport beside the present one and changes only when it has caught up. Both
   *  deliver to one cursor; what the second brings again is ignored. */
  async #tryBetter() {
    if (this.#trial) return;
    const trial = (this.#trial = this.#start(0));
    await trial.done;
    if (this.#trial === trial) this.#trial = null;
  }

  /** The pause before the next attempt. */
  async #standBack(reason) {
    const pause = this.backoff.next(reason.retryIn ?? 0);
    const offline = globalThis.navigator?.onLine === false;
    this.#status(offline ? "offline" : "waiting", { retryIn: pause, reason: reasonOf(reason) });
    await this.pause(pause);
    if (this.#state !== "closed") this.#status("connecting");
  }

  #status(state, more = {}) {
    if (this.#state === "closed") return;
    this.#state = state;
    const detail = { state, transport: this.transport, seq: this.seq, cursor: this.#cursor, ...more };
    this.dispatchEvent(new CustomEvent("status", { detail }));
  }

  // What the sessions call.

  /** Takes in what is new in the account's rooms, and says so. */
  inboxTold(envelope) {
    if (!this.inbox.apply(envelope)) return;
    if (envelope.command === "news") this.dispatchEvent(new CustomEvent("news", { detail: envelope.rooms }));
    this.dispatchEvent(new CustomEvent("inbox", { detail: this.inbox }));
  }

  /** Others write: says who. */
  typingTold({ room, who }) {
    if (room === this.room) this.dispatchEvent(new CustomEvent("typing", { detail: who }));
  }

  /** Applies an event if it is the next one. False where one is missing before it. `isAnswer`: the server gave it
   *  for this cursor; to another tab it gave what comes after the cursor of that one. */
  deliver(event, isAnswer = true) {
    const own = this.seq;
    // "now" has no number yet, and "0" none that is known; the first event then tells where we are.
    const isFirst = isAnswer && isOldest(this.#cursor);
    if (event.seq <= own) return true;
    if (event.seq > own + 1 && !isFirst) return false;
    this.#cursor = event.cursor;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    return true;
  }

  caughtUp(session, cursor) {
    if (Number.isNaN(this.seq) || isOldest(this.#cursor)) this.#cursor = cursor;
    if (session === this.#session) this.#status("live");
  }

  proved(session) {
    this.#bestWorked ||= session.name === this.transports[0];
    if (session === this.#session) this.#failures = 0;
    if (session !== this.#trial) return;
    this.#trial = null;
    this.#next = session;
    this.#session?.end(new Ended("A better transport.", { atOnce: true }));
  }

  /** Resolves after the milliseconds, or sooner: on `wake`, or when the signal aborts. */
  pause(milliseconds, signal = undefined) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end); // it lives on: there are many pauses within it
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      this.#nudge = end;
      signal?.addEventListener("abort", end);
    });
  }
}
