// The rows of the outbox: on their way, or refused with a choice.
import { fold } from "../entries/fold.js";
import { keepFocus } from "../page/focus.js";
import { blank, showMessage } from "../entries/message.js";
import { nextName } from "../person/name.js";

// What has no row is seen in the message itself: a reaction, a deletion that is on its way.
const ROWS = {
  "send-message": {
    going: ({ message }) => (message.send_at ? "scheduling…" : "sending…"),
    refused: () => "not sent",
  },
  "edit-message": {
    // Nearly always saved at once: a row that comes and goes would only flicker.
    after: 400,
    going: ({ message }) => `saving the change of ${message.id}…`,
    refused: ({ message }) => `change of ${message.id} not saved`,
  },
  "add-quote": { after: 400, going: () => "saving as a quote…", refused: () => "quote not saved" },
  "delete-message": { after: Infinity, refused: ({ message }) => `message ${message.id} not deleted` },
};

export class Pending {
  #timers = new Map(); // client_id → when to show its row

  /** `message(id)` is what the page shows, `edit(item)` puts a text back into the field, `retry(item)` sends it, and
   *  `rename(item, name)` under another name; `freed()` is called if that takes away what had the focus. */
  constructor(element, outbox, { message, edit, retry, rename, freed, life }) {
    Object.assign(this, { element, outbox, message, edit, retry, rename, freed });
    for (const item of outbox.items) this.#changed(item);
    outbox.addEventListener("changed", ({ detail: { item, was } }) => this.#changed(item, was), { signal: life });
    outbox.addEventListener("removed", ({ detail: { item, answer } }) => this.#removed(item, answer), { signal: life });
  }

  /** Takes a row away: its event is in the log now. */
  remove(id) {
    clearTimeout(this.#timers.get(id));
    this.#row(id)?.remove();
  }

  /** The log is complete to `seq`: what was answered with it is seen there. */
  reached(seq) {
    for (const row of [...this.element.children]) if (Number(row.dataset.seq) <= seq) row.remove();
  }

  #row(id) {
    return [...this.element.children].find((row) => row.dataset.clientId === id);
  }

  #changed(item, was = null) {
    const { client_id: id, envelope, state } = item;
    const { after = 0 } = ROWS[envelope.command] ?? {};
    clearTimeout(this.#timers.get(id));
    if (!ROWS[envelope.command] || state === "held") return;
    if (!after || state === "failed") this.#show(item, was);
    else if (after < Infinity)
      this.#timers.set(
        id,
        setTimeout(() => this.#show(item), after),
      );
  }

  #removed({ client_id: id, state }, { seq }) {
    clearTimeout(this.#timers.get(id));
    const row = this.#row(id);
    // A row that is stored goes when its event comes.
    if (state === "sent" && seq && row) row.dataset.seq = seq;
    else row?.remove();
  }

  #show(item, was = null) {
    const { client_id: id, envelope, state } = item;
    const row = this.#row(was ?? id) ?? this.element.appendChild(blank());
    row.dataset.clientId = id;
    row.dataset.state = state;
    showMessage(row, this.#said(envelope));
    fold(row.querySelector(".text"));
    const words = ROWS[envelope.command];
    row.querySelector(".byline .time").textContent = (state === "failed" ? words.refused : words.going)(envelope);
    row.querySelector(".choices")?.remove();
    if (state === "failed") this.#offer(row, item);
  }

  #said({ message, quote }) {
    if (quote) return { user: quote.author, message: quote.quote };
    const { user = "", message: text = "", color } = this.message(message.id) ?? {};
    return { user: message.user ?? user, message: message.message ?? text, color: message.color ?? color };
  }

  #offer(row, item) {
    const choice = (label, act) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => keepFocus(act, this.freed));
      return button;
    };
    const why = document.createElement("span");
    why.className = "why";
    why.textContent = item.reason;
    const choices = [
      choice("Retry", () => this.retry(item)),
      choice("Discard", () => this.outbox.discard(item.client_id)),
    ];
    const hasText = item.envelope.message?.message !== undefined;
    if (hasText) choices.unshift(choice("Edit", () => this.edit(item)));
    const other = item.field?.endsWith("user") && item.code === "conflict" && nextName(item.envelope.message.user);
    if (other) choices.unshift(choice(`Send as ${other}`, () => this.rename(item, other)));
    const place = document.createElement("footer");
    place.className = "choices";
    place.append(why, ...choices);
    row.append(place);
  }
}
