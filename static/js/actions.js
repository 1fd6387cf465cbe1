// What a reader can do with a message. The outbox sends it; nothing is awaited here.
import { copy } from "./copy.js";

export class Actions {
  /** `url` is the room's; `reaction(id)` and `hasEmoji(id, emoji)` are this person's own, as the page shows them. */
  constructor({ log, url, timeline, composer, outbox, deletions, reaction, hasEmoji, picker, tell }) {
    Object.assign(this, { url, timeline, composer, outbox, deletions, reaction, hasEmoji, picker, tell });
    log.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      const article = button?.closest("article");
      if (!article?.dataset.id) return;
      event.preventDefault(); // what is also a form's, for pages without a script
      this.run(button.dataset.action, article, button);
    });
  }

  run(action, article, button) {
    const message = this.timeline.get(article.dataset.id);
    if (!message || message.deleted || message.quote || "leaving" in article.dataset) return;
    this[action](message, article, button);
  }

  like(message) {
    this.#react(message, "like");
  }
  dislike(message) {
    this.#react(message, "dislike");
  }
  chip({ id }, _, { dataset: { emoji } }) {
    this.#toggle(id, emoji);
  }
  emoji({ id }, article, button = article) {
    this.picker.open(button, (emoji) => this.#toggle(id, emoji));
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

  report({ id }) {
    location.assign(`${this.url.replace("/api/v1/", "/")}/messages/${id}/report`);
  }

  #toggle(id, emoji) {
    const on = !this.hasEmoji(id, emoji);
    this.outbox.add({ command: "react", message: { id, reaction: emoji, on } });
  }

  #react({ id }, reaction) {
    const now = this.reaction(id) === reaction ? "none" : reaction;
    this.outbox.add({ command: "react", message: { id, reaction: now } });
  }
}

const plain = ({ runs }) => runs?.map(({ text }) => text).join("");

/** A line for a POSIX shell that streams what came after the event `seq` of the room at `url`, and goes on. */
export const curlLine = (url, seq) => `curl -N -H 'Accept: application/x-ndjson' '${url}/events?after=${seq}'`;
