// What a reader can do with a message. Each action says in words what went wrong.

export class Actions {
  /** `insist(envelope)` sends a command; `composer()`, `timeline()` are those of the page now. */
  constructor({ log, room, mine, insist, composer, timeline, tell, quoted, repaint }) {
    Object.assign(this, { log, room, mine, insist, composer, timeline, tell, quoted, repaint });
    log.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      const article = button?.closest("article");
      if (article?.dataset.id) this.run(button.dataset.action, article);
    });
  }

  async run(action, article) {
    const message = this.timeline().get(article.dataset.id);
    if (!message || message.deleted || message.quote) return;
    try {
      await this[action](message, article);
    } catch (error) {
      this.tell(error.message);
    }
  }

  like(message, article) { return this.#react(message, article, "like"); }
  dislike(message, article) { return this.#react(message, article, "dislike"); }
  reply(message) { this.composer().reply(message); }
  edit(message) { this.composer().change(message); }

  async delete(message, article) {
    if (!confirm("Delete this message for everybody?")) return;
    const neighbour = article.nextElementSibling ?? article.previousElementSibling;
    await this.insist({ command: "delete-message", message: { id: message.id } });
    neighbour?.focus();
  }

  async quote(message) {
    const { message: text, user } = message;
    await this.insist({ command: "add-quote", quote: { quote: plain(message) || text, author: user } });
    this.quoted();
  }

  async curl(message) {
    await navigator.clipboard.writeText(curlLine(location.origin, this.room, message));
    this.tell("Copied: a curl line that sends this message.");
  }

  async #react(message, article, reaction) {
    const before = this.mine.reaction(message.id);
    const now = before === reaction ? "none" : reaction;
    this.#show(message, article, now);
    try {
      await this.insist({ command: "react", message: { id: message.id, reaction: now } });
    } catch (error) {
      this.#show(message, article, before);
      throw error;
    }
  }

  #show(message, article, reaction) {
    this.mine.reacted(message.id, reaction);
    this.repaint(article, message);
  }
}

const plain = ({ runs }) => runs?.map(({ text }) => text).join("");

/** A line for a POSIX shell. Pure. */
export function curlLine(origin, room, { user, message }) {
  const body = JSON.stringify({ user, message }).replaceAll("'", "'\\''");
  return `curl -H 'Content-Type: application/json' -d '${body}' '${origin}/api/v1/rooms/${room}/messages'`;
}
