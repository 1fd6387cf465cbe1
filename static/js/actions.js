// What a reader can do with a message. The outbox sends it; nothing is awaited here.
import { copy } from "./copy.js";

export class Actions {
  /** `url` is the room's; `reaction(id)` is this person's own, as the page shows it. */
  constructor({ log, url, timeline, composer, outbox, deletions, reaction, tell }) {
    Object.assign(this, { url, timeline, composer, outbox, deletions, reaction, tell });
    log.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      const article = button?.closest("article");
      if (article?.dataset.id) this.run(button.dataset.action, article);
    });
  }

  run(action, article) {
    const message = this.timeline.get(article.dataset.id);
    if (!message || message.deleted || message.quote || "leaving" in article.dataset) return;
    this[action](message, article);
  }

  like(message) {
    this.#react(message, "like");
  }
  dislike(message) {
    this.#react(message, "dislike");
  }
  reply(message) {
    this.composer.reply(message);
  }
  edit(message) {
    this.composer.change(message, this.outbox.wanted("edit-message", message.id)?.message.message);
  }

  delete({ id }, article) {
    const focused = article.contains(document.activeElement);
    this.deletions.add(id);
    if (focused) article.focus();
  }

  quote(message) {
    const { message: text, user } = message;
    this.outbox.add({ command: "add-quote", quote: { quote: plain(message) || text, author: user } });
  }

  async curl(message) {
    const line = curlLine(this.url, message.id);
    if (await copy(line)) this.tell("Copied: a curl line that reads on from here.");
    else this.tell(`Copy this line: ${line}`, { seconds: 60 });
  }

  #react({ id }, reaction) {
    const now = this.reaction(id) === reaction ? "none" : reaction;
    this.outbox.add({ command: "react", message: { id, reaction: now } });
  }
}

const plain = ({ runs }) => runs?.map(({ text }) => text).join("");

/** A line for a POSIX shell that streams what came after the event `seq` of the room at `url`, and goes on. */
export const curlLine = (url, seq) => `curl -N -H 'Accept: application/x-ndjson' '${url}/events?after=${seq}'`;
