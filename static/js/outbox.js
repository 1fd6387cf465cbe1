// What this person has said and the server has not yet answered. First in, first out, one in flight;
// repeated with the same client_id until there is an answer, through reloads too.
import { Backoff } from "./backoff.js";
import { newId } from "./ids.js";
import * as browser from "./store.js";

export class Outbox extends EventTarget {
  #items = [];
  #sending = false;
  #nudge = () => {};

  /** `deliver(envelope)` resolves to the server's answer; it throws Problem where the server refused,
   *  and anything else where no answer came. */
  constructor({ room, place = room, deliver, store = browser, backoff = new Backoff() }) {
    super();
    Object.assign(this, { room, place, deliver, store, backoff });
    this.#items = store
      .keys(this.#key(""))
      .map((key) => store.load(key))
      .filter(Boolean)
      .sort((a, b) => a.order - b.order);
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

  /** Takes a message on. Answers its item: {client_id, message, state}. */
  add(message) {
    const item = { client_id: newId(), message, state: "sending", order: Date.now() + this.#items.length / 1000 };
    this.#items.push(item);
    this.#changed(item);
    this.flush();
    return item;
  }

  /** Tries at once what waits. */
  async flush() {
    this.#nudge();
    if (this.#sending) return;
    this.#sending = true;
    for (let item; (item = this.#items.find(({ state }) => state === "sending"));) await this.#send(item);
    this.#sending = false;
  }

  retry(id) {
    const item = this.#find(id);
    if (!item) return;
    // The server knows the old id with other content; it would refuse it for ever.
    const renamed = item.code === "client-id-reused";
    if (renamed) this.store.save(this.#key(id), null);
    Object.assign(item, { state: "sending", reason: null, code: null }, renamed && { client_id: newId() });
    this.#changed(item, renamed ? id : null);
    this.flush();
  }

  discard(id) {
    const item = this.#find(id);
    if (item) this.#remove(item, "discarded");
  }

  /** Another tab, or an event, says that this one is stored. */
  settle(id, answer = {}) {
    const item = this.#find(id);
    if (item) this.#remove(item, "sent", answer);
  }

  async #send(item) {
    const { client_id, message } = item;
    try {
      const answer = await this.deliver({ command: "send-message", room: this.room, client_id, message });
      this.backoff.reset();
      this.settle(client_id, answer);
    } catch (error) {
      if (!this.#items.includes(item)) return;
      if (error.final) {
        Object.assign(item, { state: "failed", reason: error.message, code: error.code });
        this.#changed(item);
      } else {
        await this.#pause(this.backoff.next(error.retryIn ?? 0));
      }
    }
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

  #find(id) {
    return this.#items.find((item) => item.client_id === id);
  }

  #changed(item, was = null) {
    this.store.save(this.#key(item.client_id), item);
    this.dispatchEvent(new CustomEvent("changed", { detail: { item, was } }));
  }

  #remove(item, state, answer = {}) {
    this.#items.splice(this.#items.indexOf(item), 1);
    this.store.save(this.#key(item.client_id), null);
    this.dispatchEvent(new CustomEvent("removed", { detail: { item: { ...item, state }, answer } }));
  }
}
