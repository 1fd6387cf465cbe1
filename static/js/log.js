// The visible log: which message stands where, under which day, in whose group.
import { dayName, dayOf } from "./dates.js";
import { blank, showEntry } from "./message.js";

const GROUP_MILLISECONDS = 5 * 60_000;

export class Log {
  /** `decorate(article, entry)` adds what only this person sees. */
  constructor(element, decorate = () => {}) {
    this.element = element;
    this.decorate = decorate;
  }

  article(id) { return this.element.querySelector(`#m${Number(id)}`); }
  get articles() { return [...this.element.querySelectorAll("article")]; }

  /** Shows entries in the order of their numbers, wherever they belong. */
  show(entries) {
    for (const entry of entries) {
      const article = this.article(entry.id) ?? this.#insert(entry);
      article.dataset.at = entry.at;
      showEntry(article, entry);
      this.decorate(article, entry);
    }
    this.arrange();
  }

  /** Takes over an <article> that the server rendered. */
  adopt(article, entry) {
    article.dataset.at = entry.at;
    // The timeline has it now; a deleted message must not live on in the page.
    delete article.dataset.entry;
    showEntry(article, entry);
    this.decorate(article, entry);
  }

  /** Starts anew with these: after a reset. */
  replace(entries) {
    this.element.replaceChildren();
    this.show(entries);
  }

  #insert(entry) {
    const article = blank(entry);
    const { id } = entry;
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
        && date - last.date < GROUP_MILLISECONDS && article.querySelector(".answers")?.hidden === true);
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
