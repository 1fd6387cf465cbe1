// What this person has said and done and the server has not yet answered: messages, edits, reactions, deletions.
// First in, first out, one in flight, so that two changes of one message arrive in their order; repeated with the
// same client_id until there is an answer, through reloads too.
import { Backoff, jittered } from "../backoff.js";
import { laneOf, partOf, replaces, subjectOf } from "./commands.js";
import { newId } from "../page/ids.js";
import * as browser from "../page/store.js";

const SLOW = 3_000; // ms without an answer, after which the connection is checked
const HELD = 6_000; // ms until another tab sends what one holds back: a second longer than it can be undone there
const PATIENCE = 10_000; // ms that a command waits if the server asks for it; for longer it is refused

export class Outbox extends EventTarget {
  #items = [];
  #timers = new Map(); // item → the timer until it is sent, or looked at again
  #waits = new Set(); // items that the server asked to wait
  #sending = false;
  #ended = false;
  #nudge = () => {};

  /** `deliver(envelope)` resolves to the server's answer; it throws Problem if the server refused,
   *  and anything else if no answer came. `by` is the account that does all this, if there is one: it has the commands
   *  of its own, and those of a visitor that has signed in. */
  constructor({ room, place = room, deliver, store = browser, backoff = new Backoff(), ...options }) {
    super();
    const { by, slow = SLOW, held = HELD, now = Date.now } = options;
    Object.assign(this, { room, place, deliver, store, backoff, by, slow, held, now });
    this.#items = store
      .keys(this.#key(""))
      .map((key) => store.load(key))
      .filter((item) => item && item.state !== "sent" && this.#isOurs(item))
      .map(revived)
      .sort((a, b) => a.order - b.order);
    for (const item of this.#items) if (item.by !== by) this.#claim(item);
    for (const item of this.#items) if (item.state === "held") this.#releaseLater(item);
  }

  get items() {
    return [...this.#items];
  }
  get waiting() {
    return this.#items.filter((item) => item.state === "sending").length;
  }
  #key(id) {
    return `outbox:${this.place}:${id}`;
  }

  /** The latest command of this kind about a message, or a scheduled one, that is not answered yet. */
  wanted(command, id, part = "") {
    const about = ({ message, scheduled }) => (message ?? scheduled).id === id;
    const same = (envelope) => envelope.command === command && partOf(envelope) === part && about(envelope);
    const found = ({ envelope, state }) => state !== "failed" && same(envelope);
    return this.#items.findLast(found)?.envelope;
  }

  /** Takes a command on. Answers its item: {client_id, envelope, state}. One that is held waits for `release`.
   *  `instead` is the id of the scheduled message that it is said instead of: if that was sent, it is not. */
  add(envelope, { held = false, instead } = {}) {
    this.#adopt(subjectOf(envelope));
    if (!held) this.#dropNeedless(envelope); // what can be undone makes nothing needless yet
    const now = this.now();
    const order = now + this.#items.length / 1000;
    const item = { client_id: newId(), envelope, state: held ? "held" : "sending", order };
    if (held) item.until = now + this.held;
    if (instead) item.instead = instead;
    this.#items.push(item);
    this.#changed(item);
    this.flush();
    return item;
  }

  /** Tries at once what waits, but for what the server asked to wait. */
  flush() {
    this.#nudge();
    return this.#run();
  }

  /** Sends no more: another outbox has what is kept. What is on its way has the same client_id there. */
  end() {
    this.#ended = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#nudge();
  }

  /** Holds one back for as long again: other tabs wait too. */
  hold(id) {
    const item = this.find(id);
    if (item?.state !== "held") return;
    item.until = this.now() + this.held;
    this.store.save(this.#key(id), item);
  }

  release(id) {
    const item = this.find(id);
    if (item?.state !== "held") return;
    this.#dropNeedless(item.envelope, item);
    item.state = "sending";
    this.#changed(item);
    this.flush();
  }

  /** Sends a refused command again, changed or as it was. */
  retry(id, envelope) {
    const item = this.find(id);
    if (!item) return;
    // The server knows the old id with other content; it would refuse it for ever.
    const renamed = item.code === "client-id-reused";
    if (renamed) this.store.save(this.#key(id), null);
    Object.assign(item, { state: "sending", reason: null, code: null, field: null, instead: undefined });
    Object.assign(item, envelope && { envelope }, renamed && { client_id: newId() });
    this.#changed(item, renamed ? id : null);
    this.flush();
  }

  discard(id) {
    const item = this.find(id);
    if (!item) return;
    this.#stays(item);
    this.#remove(item, "discarded");
  }

  /** A message is deleted: what else was to be done about it is needless. */
  gone(id) {
    const about = ({ envelope }) => subjectOf(envelope) === `message ${id}` && envelope.command !== "delete-message";
    for (const item of this.#items.filter(about)) this.#remove(item, "discarded");
  }

  /** Another tab, or an event, says that this one is stored. */
  settle(id, answer = {}) {
    const item = this.find(id);
    if (item) this.#remove(item, "sent", answer);
  }

  /** Another tab has changed what is kept under a key of the storage. */
  heard({ key, newValue }) {
    const id = key?.split(`quotechat:${this.#key("")}`)[1];
    if (!id) return;
    const item = newValue === null ? null : JSON.parse(newValue);
    if (item && !this.#isOurs(item)) return;
    if (item?.state === "sent" && !this.find(id)) this.#tell("removed", { item, answer: item.answer, elsewhere: true });
    else if (item?.state === "sent") this.settle(id, item.answer);
    else if (item === null) this.discard(id);
    else this.#tell("elsewhere", { item });
  }

  find(id) {
    return this.#items.find((item) => item.client_id === id);
  }

  #isOurs({ by }) {
    return !by || by === this.by;
  }

  /** Keeps it as this account's, a visitor's too. */
  #claim(item) {
    item.by = this.by;
    this.store.save(this.#key(item.client_id), item);
  }

  /** What another tab holds back is undone there, or sent: by that tab, and by this one, since it may be closed. */
  #releaseLater(item) {
    const { client_id: id, order, until = order + HELD } = item;
    const look = () => {
      const kept = this.store.load(this.#key(id));
      if (!kept) this.discard(id);
      else if (kept.state === "held" && kept.until > until) this.#releaseLater(Object.assign(item, kept));
      else this.release(id);
    };
    // No longer, whatever happened to the clock.
    this.#later(item, look, Math.min(until - this.now(), this.held));
  }

  #later(item, act, milliseconds) {
    clearTimeout(this.#timers.get(item));
    this.#timers.set(item, setTimeout(act, milliseconds));
  }

  /** What another tab has not sent yet about the same thing comes first; under its client_id it is stored once. */
  #adopt(subject) {
    if (subject === null) return;
    const others = this.store
      .keys(this.#key(""))
      .map((key) => this.store.load(key))
      .filter((item) => item?.state === "sending" && this.#isOurs(item) && !this.find(item.client_id))
      .map(revived)
      .filter(({ envelope }) => subjectOf(envelope) === subject);
    this.#items = [...this.#items, ...others].sort((a, b) => a.order - b.order);
  }

  /** Takes away what a command makes needless; `item` is its own. */
  #dropNeedless(envelope, item = null) {
    // One that the server may have got already is repeated until its answer: a late copy of it would undo this one.
    const needless = (older) =>
      older !== item && replaces(envelope, older.envelope) && (!older.tried || older.state === "failed");
    for (const older of this.#items.filter(needless)) this.#remove(older, "replaced");
  }

  async #run() {
    if (this.#sending) return;
    this.#sending = true;
    for (let item; (item = this.#next());) await this.#send(item);
    this.#sending = false;
  }

  /** The first that neither waits itself nor comes behind one in its lane that does. */
  #next() {
    if (this.#ended) return null;
    const waiting = this.#items.filter((item) => this.#waits.has(item)).map(({ envelope }) => laneOf(envelope));
    const free = ({ state, envelope, instead }) =>
      state === "sending" && !waiting.includes(laneOf(envelope)) && !waiting.includes(`scheduled ${instead}`);
    return this.#items.find(free);
  }

  async #send(item) {
    const slow = setTimeout(() => this.#tell("slow", { item }), this.slow);
    item.tried = true;
    try {
      const answer = await this.deliver({ ...item.envelope, room: this.room, client_id: item.client_id });
      this.backoff.reset();
      this.settle(item.client_id, answer);
    } catch (error) {
      if (this.#ended || !this.#items.includes(item)) return;
      const limited = error.status === 429;
      if (error.final || (limited && error.retryIn > PATIENCE)) {
        Object.assign(item, { state: "failed", reason: error.message, code: error.code, field: error.field });
        this.#stays(item);
        this.#changed(item);
      } else {
        const wait = limited && error.retryIn ? jittered(error.retryIn) : this.backoff.next(error.retryIn ?? 0);
        if (limited) this.#wait(item, wait);
        // A second one that is limited: so is all that this person does.
        if (!limited || this.#waits.size > 1) await this.#pause(wait);
      }
    } finally {
      clearTimeout(slow);
    }
  }

  /** A scheduled message could not be cancelled: what was written instead is not said beside it. */
  #stays({ envelope: { command, scheduled }, code, reason }) {
    if (command !== "cancel-scheduled") return;
    const sent = !reason || code === "scheduled-unknown";
    const why = sent ? "What this was to replace waits no more: it was sent, or cancelled elsewhere." : reason;
    for (const item of this.#items.filter((each) => each.state === "sending" && each.instead === scheduled.id)) {
      Object.assign(item, { state: "failed", reason: why, code: code ?? null, field: null });
      this.#changed(item);
    }
  }

  #wait(item, milliseconds) {
    const go = () => {
      this.#waits.delete(item);
      this.#run();
    };
    this.#waits.add(item);
    this.#later(item, go, milliseconds);
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#nudge = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #changed(item, was = null) {
    this.#claim(item);
    this.#tell("changed", { item, was });
  }

  #remove(item, state, answer = {}) {
    clearTimeout(this.#timers.get(item));
    this.#timers.delete(item);
    this.#items.splice(this.#items.indexOf(item), 1);
    // Other tabs see both steps: that it was stored, and that it is kept no longer.
    if (state === "sent") this.store.save(this.#key(item.client_id), { ...item, state, answer });
    this.store.save(this.#key(item.client_id), null);
    this.#tell("removed", { item: { ...item, state }, answer });
    if (this.#waits.delete(item)) this.#run(); // what came behind it
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** An item as a page before kept it; version 0.1.0 kept messages only. */
const revived = ({ message, envelope = { command: "send-message", message }, ...item }) => ({
  ...item,
  envelope,
  tried: true,
});
