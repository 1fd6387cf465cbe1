// What a reader can do with a message. Each action says in words what went wrong.

const UNDO_SECONDS = 5;

export class Actions {
  /** `insist(envelope)` sends a command, `farewell(envelope)` does so as the page goes; `url` is the room's; `composer()`, `timeline()` are those of the page now. */
  constructor({ log, url, mine, timeline, composer, tell, insist, farewell, repaint }) {
    Object.assign(this, { log, url, mine, timeline, composer, tell, insist, farewell, repaint });
    log.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      const article = button?.closest("article");
      if (article?.dataset.id) this.run(button.dataset.action, article);
    });
  }

  async run(action, article) {
    const message = this.timeline.get(article.dataset.id);
    if (!message || message.deleted || message.quote) return;
    try {
      await this[action](message, article);
    } catch (error) {
      this.tell(error.message);
    }
  }

  like(message, article) {
    return this.#react(message, article, "like");
  }
  dislike(message, article) {
    return this.#react(message, article, "dislike");
  }
  reply(message) {
    this.composer.reply(message);
  }
  edit(message) {
    this.composer.change(message);
  }

  /** Deletes after a few seconds in which it can be undone; at once where the page is left. */
  delete({ id }, article) {
    if ("leaving" in article.dataset) return;
    const envelope = { command: "delete-message", message: { id } };
    const stop = (send) => {
      clearTimeout(timer);
      removeEventListener("pagehide", leave);
      send?.(envelope);
    };
    const failed = (error) => {
      delete article.dataset.leaving;
      this.tell(error.message);
    };
    const leave = () => stop(this.farewell);
    const timer = setTimeout(() => stop(() => this.insist(envelope).catch(failed)), UNDO_SECONDS * 1000);
    article.dataset.leaving = "";
    addEventListener("pagehide", leave);
    this.tell("Message deleted.", {
      label: "Undo",
      seconds: UNDO_SECONDS,
      act: () => {
        stop();
        delete article.dataset.leaving;
        article.focus();
      },
    });
    if (article.contains(document.activeElement)) article.focus();
  }

  async quote(message) {
    const { message: text, user } = message;
    await this.insist({ command: "add-quote", quote: { quote: plain(message) || text, author: user } });
    this.tell("Saved as a quote.");
  }

  async curl(message) {
    await navigator.clipboard.writeText(curlLine(this.url, message.id));
    this.tell("Copied: a curl line that reads on from here.");
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

/** A line for a POSIX shell that streams what came after the event `seq` of the room at `url`, and goes on. */
export const curlLine = (url, seq) => `curl -N -H 'Accept: application/x-ndjson' '${url}/events?after=${seq}'`;
