// What this browser has sent and what has not come as an event yet: it is not new to the one who sent it. Pure.

export class Expected {
  #names = new Map(); // client_id → the name of the sender

  /** Takes in an item of the outbox, of this tab or another. */
  add({ client_id: id, envelope: { command, message } }) {
    if (["send-message", "add-quote"].includes(command)) this.#names.set(id, message?.user.normalize("NFC"));
  }
  delete(id) {
    this.#names.delete(id);
  }

  /** Everybody sees a client_id, so of a message the name must be the sender's too. */
  has({ user, client_id: id, quote }) {
    const sent = quote?.client_id ?? id;
    return this.#names.has(sent) && (Boolean(quote) || this.#names.get(sent) === user);
  }
}
