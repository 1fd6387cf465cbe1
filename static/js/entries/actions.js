// What a reader can do with a message. The outbox sends it; nothing is awaited here.
import { copy } from "../page/copy.js";

/** Whether an action is offered for a message. Pure, for the keys as well as for the menu. */
export function offers(action, { own, account, files = [] }) {
  if (action === "describe") return own && files.some(isDescribed);
  if (action === "edit" || action === "delete") return own;
  return action !== "report" || (account && !own);
}

export class Actions {
  /** `url` is the room's; `reaction(id)` and `emojiOf(id)` are this person's own, as the page shows them;
   *  `isOwn(id)` is true of its messages, `account` if it has one. */
  constructor({ log, url, ...parts }) {
    Object.assign(this, { url }, parts);
    log.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      const article = button?.closest("article");
      if (!article?.dataset.id) return;
      event.preventDefault(); // what is also a form's, for pages without a script
      this.run(button.dataset.action, article, button);
    });
  }

  /** The message of an article, if something can be done with it. */
  #message(article) {
    const message = this.timeline.get(article.dataset.id);
    return !message || message.deleted || message.quote || "leaving" in article.dataset ? null : message;
  }

  /** Whether the reader may do this with the message. */
  may(action, { id, files }) {
    return offers(action, { own: this.isOwn(id), account: this.account, files });
  }

  run(action, article, button) {
    const message = this.#message(article);
    if (message && this.may(action, message)) this[action](message, article, button);
  }

  more(message, article, button = article) {
    this.menu.open(button, {
      may: (action) => this.may(action, message),
      pressed: [this.reaction(message.id), ...this.emojiOf(message)],
      chosen: (action, emoji) => {
        // The focus comes back to the message, unless the action takes it elsewhere.
        if (article.isConnected) article.focus({ preventScroll: true });
        if (emoji) this.#toggle(message.id, emoji);
        else this.run(action, article, button);
      },
    });
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
    this.picker.open(button, (emoji) => {
      if (article.isConnected) article.focus({ preventScroll: true });
      this.#toggle(id, emoji);
    });
  }
  reply(message) {
    this.composer.reply(message);
  }
  edit(message) {
    this.composer.change(message, this.outbox.wanted("edit-message", message.id)?.message.message);
  }

  async describe(message, article) {
    const waiting = this.outbox.wanted("edit-message", message.id, "files")?.message.files;
    const files = await this.describer.ask(message.files.filter(isDescribed), waiting);
    if (article.isConnected) article.focus({ preventScroll: true });
    if (files) this.outbox.add({ command: "edit-message", message: { id: message.id, files } });
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

  link({ id }) {
    return this.#copy(`${this.url.replace("/api/v1/", "/")}#m${id}`, "Copied: the address of the message.");
  }
  copy(message) {
    return this.#copy(plain(message) || message.message, "Copied: the text of the message.");
  }
  curl({ id }) {
    return this.#copy(curlLine(this.url, id), "Copied: a curl line that reads on from here.");
  }

  async #copy(text, words) {
    if (await copy(text)) this.tell(words);
    else this.tell(`Copy this line: ${text}`, { seconds: 60 });
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

/** Whether a file is shown, so that it needs words for those who do not see or hear it. */
const isDescribed = ({ type }) => /^(image|audio|video)\//.test(type);

const plain = ({ runs }) => runs?.map(({ text }) => text).join("");

/** A line for a POSIX shell that streams what came after the event `seq` of the room at `url`, and goes on. */
export const curlLine = (url, seq) => `curl -N -H 'Accept: application/x-ndjson' '${url}/events?after=${seq}'`;
