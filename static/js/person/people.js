// The names of those who can be called in a room: who has written in what is loaded, and, for an account, its members.

export class People {
  #members = [];
  #asked = null;

  /** `me()` is the own name. `members` asks for [{user}], null for a visitor, who may not see them. */
  constructor(timeline, me, members) {
    Object.assign(this, { timeline, me, members });
  }

  /** Those who have written come first. */
  names() {
    const written = this.timeline.messages.map(({ user }) => user);
    return [...new Set([...written, ...this.#members])].filter((name) => name && name !== this.me());
  }

  /** Asks for the members once, and calls `then` when they are there. Without an answer the next call asks again. */
  async load(then) {
    if (this.#asked || !this.members) return;
    this.#asked = this.members();
    try {
      this.#members = (await this.#asked).map(({ user }) => user);
      then();
    } catch {
      this.#asked = null;
    }
  }
}
