// Deletions that can still be undone: all of them together, until some seconds after the last.
import { atEnd } from "../page/life.js";

const SECONDS = 5;

export class Deletions {
  #held = []; // items of the outbox
  #timer = null;

  /** `farewell(envelope)` sends as the page goes; `back(id)` is called for a message that stays. */
  constructor({ outbox, tell, farewell, back, life }) {
    Object.assign(this, { outbox, tell, back });
    const bid = () => {
      for (const { client_id: id, envelope } of this.#held) farewell({ ...envelope, client_id: id });
    };
    addEventListener("pagehide", bid, { signal: life });
    atEnd(life, () => this.#send());
  }

  add(id) {
    for (const { client_id: earlier } of this.#held) this.outbox.hold(earlier);
    this.#held.push(this.outbox.add({ command: "delete-message", message: { id } }, { held: true }));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), SECONDS * 1000);
    const count = this.#held.length;
    const words = count === 1 ? "Message deleted." : `${count} messages deleted.`;
    this.tell(words, { label: "Undo", seconds: SECONDS, act: () => this.undo() });
  }

  /** Takes all of them back. False if there is none. */
  undo() {
    clearTimeout(this.#timer);
    const items = this.#held.splice(0);
    for (const { client_id: id } of items) this.outbox.discard(id);
    for (const { envelope } of items) this.back(envelope.message.id);
    return items.length > 0;
  }

  #send() {
    clearTimeout(this.#timer);
    for (const { client_id: id } of this.#held.splice(0)) this.outbox.release(id);
  }
}
