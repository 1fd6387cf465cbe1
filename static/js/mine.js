// What this person wrote, and how they reacted: told by the server with each stretch of the log,
// and known here for what came since.

export class Mine {
  #messages = new Set();
  #reactions = new Map(); // message id → "like" or "dislike"
  #deleted = new Set();

  constructor(mine) {
    this.add(mine);
  }

  /** Takes in the `mine` of a snapshot or of older messages. */
  add({ messages = [], reactions = {} } = {}) {
    for (const id of messages) this.wrote(id);
    for (const [id, reaction] of Object.entries(reactions)) this.reacted(id, reaction);
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
  did({ command, message }, { seq }) {
    if (command === "send-message" && seq) this.wrote(seq);
    if (command === "react") this.reacted(message.id, message.reaction);
    if (command === "delete-message") this.deleted(message.id);
  }
}
