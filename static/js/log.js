// The visible log: which message stands where, under which day, in whose group.
import { dayName, dayOf, showTime } from "./dates.js";
import { blank, showMessage } from "./message.js";

const GROUP_MILLISECONDS = 5 * 60_000;

export class Log {
  /** `decorate(article, message)` adds what only this person sees. */
  constructor(element, decorate = () => {}) {
    this.element = element;
    this.decorate = decorate;
  }

  article(id) { return this.element.querySelector(`#m${Number(id)}`); }
  get articles() { return [...this.element.querySelectorAll("article")]; }

  /** Shows messages in the order of their numbers, wherever they belong. */
  show(messages) {
    for (const message of messages) {
      const article = this.article(message.id) ?? this.#insert(message.id);
      article.dataset.at = message.at;
      showMessage(article, message);
      this.decorate(article, message);
    }
    this.arrange();
  }

  /** Takes over an <article> that the server rendered. */
  adopt(article, message) {
    article.dataset.at = message.at;
    if (message.at) showTime(article.querySelector(".time"), message.at);
    this.decorate(article, message);
  }

  /** Starts anew with these: after a reset. */
  replace(messages) {
    this.element.replaceChildren();
    this.show(messages);
  }

  #insert(id) {
    const article = blank();
    article.id = `m${id}`;
    article.dataset.id = id;
    // Nearly always the last one.
    let after = this.element.lastElementChild;
    while (after && !(Number(after.dataset.id) < id)) after = after.previousElementSibling;
    if (after) after.after(article);
    else this.element.prepend(article);
    return article;
  }

  /** Days and groups follow from neighbours, so they are found again after every change. */
  arrange() {
    for (const heading of this.element.querySelectorAll(".day")) heading.remove();
    let last = null;
    for (const article of this.articles) {
      const date = new Date(article.dataset.at);
      const newDay = !last || dayOf(date) !== dayOf(last.date);
      if (newDay && !Number.isNaN(date.getTime())) article.before(heading(date));
      article.classList.toggle("follows", !newDay && last.user === article.dataset.user
        && date - last.date < GROUP_MILLISECONDS && article.querySelector(".answers").hidden);
      last = { date, user: article.dataset.user };
    }
  }
}

function heading(date) {
  const element = document.createElement("h2");
  element.className = "day";
  element.textContent = dayName(date);
  return element;
}
