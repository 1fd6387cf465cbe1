// What this person wrote, and how they reacted: told by the server with each stretch of the log,
// and known here for what came since.
import { emojiOf } from "../outbox/commands.js";

export class Mine {
  #messages = new Set();
  #reactions = new Map(); // message id → "like" or "dislike"
  #emoji = new Map(); // message id → a Set
  #deleted = new Set();

  constructor(mine) {
    this.add(mine);
  }

  /** Takes in the `mine` of a snapshot or of older messages. */
  add({ messages = [], reactions = {}, emoji = {} } = {}) {
    for (const id of messages) this.wrote(id);
    for (const [id, reaction] of Object.entries(reactions)) this.reacted(id, reaction);
    for (const [id, own] of Object.entries(emoji)) this.#emoji.set(Number(id), new Set(own));
  }

  wrote(id) {
    this.#messages.add(Number(id));
  }
  isOwn(id) {
    return this.#messages.has(Number(id));
  }
  reaction(id) {
    return this.#reactions.get(Number(id)) ?? "none";
  }

  hasEmoji(id, emoji) {
    return Boolean(this.#emoji.get(Number(id))?.has(emoji));
  }
  addedEmoji(id, emoji, on = true) {
    const own = this.#emoji.get(Number(id)) ?? new Set();
    if (on) own.add(emoji);
    else own.delete(emoji);
    this.#emoji.set(Number(id), own);
  }

  /** `none` takes it back. */
  reacted(id, reaction) {
    if (reaction === "none") this.#reactions.delete(Number(id));
    else this.#reactions.set(Number(id), reaction);
  }

  /** The server has deleted it; the event may come later. */
  deleted(id) {
    this.#deleted.add(Number(id));
  }
  isDeleted(id) {
    return this.#deleted.has(Number(id));
  }

  /** The server has done this. */
  did(envelope, { seq }) {
    const { command, message } = envelope;
    const emoji = emojiOf(envelope);
    if (["send-message", "add-quote"].includes(command) && seq) this.wrote(seq);
    if (emoji) this.addedEmoji(message.id, emoji, message.on);
    else if (command === "react") this.reacted(message.id, message.reaction);
    if (command === "delete-message") this.deleted(message.id);
  }
}
