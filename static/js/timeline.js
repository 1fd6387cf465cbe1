// The messages of a room, as its events leave them. Pure: no page, no network, no clock.
// Applying an event twice changes nothing.

export class Timeline {
  #messages = new Map();

  constructor(messages = []) {
    this.add(messages);
  }

  get messages() { return [...this.#messages.values()].sort((a, b) => a.id - b.id); }
  get oldest() { return Math.min(...this.#messages.keys()); }
  get(id) { return this.#messages.get(Number(id)); }

  add(messages) {
    for (const message of messages) this.#messages.set(message.id, message);
  }

  /** Starts anew: after a reset. */
  replace(messages) {
    this.#messages.clear();
    this.add(messages);
  }

  /** Applies one event of the protocol. Answers {kind, message} for what the page should show anew:
   *  kind is "added", "changed", "quote" or null. */
  apply({ command, message, quote, at }) {
    switch (command) {
      case "message-sent": return this.#sent({ at, ...message });
      case "message-edited": return this.#changed(message.id, (old) => edited(old, message));
      case "message-deleted": return this.#changed(message.id, ({ id, user, at: sent }) =>
        ({ id, user, at: sent, deleted: true }));
      case "reactions-changed": return this.#changed(message.id, (old) =>
        ({ ...old, likes: message.likes ?? 0, dislikes: message.dislikes ?? 0 }));
      case "quote-added": return { kind: "quote", quote };
      default: return { kind: null };
    }
  }

  #sent(message) {
    if (this.#messages.has(message.id)) return { kind: null, message: this.get(message.id) };
    this.#messages.set(message.id, message);
    return { kind: "added", message };
  }

  /** A message that is older than what the page has loaded is none of its business yet. */
  #changed(id, change) {
    const old = this.get(id);
    if (!old || old.deleted) return { kind: null };
    const message = change(old);
    this.#messages.set(id, message);
    return { kind: "changed", message };
  }
}

// An event holds the whole message; what it leaves out is empty now. When it was sent never changes.
const edited = (old, message) => ({ at: old.at, likes: old.likes, dislikes: old.dislikes, ...message });
