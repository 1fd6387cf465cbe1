// The visible log: which entry stands where, under which day, in whose group.
import { dayName, dayOf } from "../page/dates.js";
import { fold } from "./fold.js";
import { blank, showEntry } from "./message.js";
import { neighbour, newest, put, remove } from "./stretches.js";

const RUN_MILLISECONDS = 5 * 60_000;

const idOf = (article) => Number(article.dataset.id);

export class Log {
  #articles = new Map(); // id → <article>
  #marked = null; // the first that is new
  #last = null; // the one that was inserted last

  /** `decorate(article, entry)` adds what only this person sees, `leaves(article)` hears what goes. Entries above `read` are new to them. */
  constructor(element, { decorate = () => {}, leaves = () => {}, read = Infinity } = {}) {
    Object.assign(this, { element, decorate, leaves, read });
  }

  article(id) {
    return this.#articles.get(Number(id));
  }
  get size() {
    return this.#articles.size;
  }

  /** Shows entries in the order of their numbers, wherever they belong. */
  show(entries) {
    for (const entry of entries) {
      const article = this.article(entry.id) ?? this.#insert(entry);
      article.dataset.at = entry.at;
      showEntry(article, entry);
      fold(article.querySelector(".text, blockquote"));
      this.decorate(article, entry);
      this.#arrange(article);
    }
    this.#markNew(entries);
  }

  /** The first that is new, of those that are loaded. */
  get firstNew() {
    return this.#marked;
  }

  /** Nothing is new any more: the reader has answered it. */
  allRead() {
    this.readTo(Infinity);
  }

  /** What comes above `id` is new. */
  readTo(id) {
    this.read = id;
    this.#markNew();
  }

  /** Takes over the <article>s that the server rendered; `entry(id)` is what each shows. */
  adopt(entry) {
    // What is for pages without a script: days of UTC, and counts in words.
    for (const plain of this.element.querySelectorAll("h2, .counts")) plain.remove();
    for (const article of this.#all) {
      this.#articles.set(idOf(article), article);
      // The timeline has it now; a deleted message must not live on in the page.
      delete article.dataset.entry;
    }
    this.show([...this.#articles.keys()].map(entry));
  }

  /** Shows these and no others: after a reset. What stays keeps its element. */
  replace(entries) {
    const stays = new Set(entries.map(({ id }) => Number(id)));
    for (const [id, article] of [...this.#articles]) if (!stays.has(id)) this.#take(article);
    this.show(entries);
  }

  /** Takes the oldest away until `count` are left. Answers the numbers of those that went. */
  prune(count) {
    const gone = [];
    while (this.size > count) {
      const article = this.element.querySelector("article");
      gone.push(idOf(article));
      this.#take(article);
    }
    if (gone.length) this.#arrange(this.element.querySelector("article"));
    return gone;
  }

  #take(article) {
    this.leaves(article);
    headingOf(article)?.remove();
    remove(article);
    this.#articles.delete(idOf(article));
  }

  /** How many are new, of those that are loaded. */
  get countNew() {
    return this.#marked ? [...this.#all].filter((article) => this.#isNew(article)).length : 0;
  }

  get #all() {
    return this.element.querySelectorAll("article");
  }

  /** What one wrote oneself is not. */
  #isNew(article) {
    return idOf(article) > this.read && !article.classList.contains("own");
  }

  /** The line above the first that is new; what was shown below it leaves it where it is. */
  #markNew(shown = null) {
    const old = this.#marked;
    if (shown && old?.isConnected && this.#isNew(old) && shown.every(({ id }) => id >= idOf(old))) return;
    const mark = this.read < Infinity ? ([...this.#all].find((article) => this.#isNew(article)) ?? null) : null;
    if (mark === this.#marked) return;
    this.#marked?.classList.remove("first-new");
    mark?.classList.add("first-new");
    this.#marked = mark;
  }

  #insert(entry) {
    const article = blank(entry);
    article.dataset.id = entry.id;
    put(this.element, article, this.#before(entry.id));
    this.#articles.set(Number(entry.id), article);
    this.#last = article;
    return article;
  }

  /** The article behind which `id` belongs: nearly always the last one, or the one inserted just now. */
  #before(id) {
    const under = (article) => article && idOf(article) < id;
    const next = this.#last?.isConnected && neighbour(this.#last, "next");
    if (under(this.#last) && next && !under(next)) return this.#last;
    let before = newest(this.element);
    while (before && !under(before)) before = neighbour(before, "previous");
    return before;
  }

  /** Day and run follow from the one before; and those after it, as far as that changes them. */
  #arrange(article) {
    for (let each = article; each && this.#place(each);) each = neighbour(each, "next");
  }

  /** True if what comes after may stand otherwise now. */
  #place(article) {
    const before = neighbour(article, "previous");
    const date = new Date(article.dataset.at);
    const newDay = !before || dayOf(date) !== dayOf(new Date(before.dataset.at));
    const heading = headingOf(article);
    if (!newDay) heading?.remove();
    else if (!heading && !Number.isNaN(date.getTime())) article.before(dayHeading(date));
    const { user, at } = article.dataset;
    const answers = article.querySelector(".answers")?.hidden !== true;
    const start = !newDay && goesOn(before.dataset, { user, at, answers }) ? before.dataset.run : at;
    const same = article.dataset.run === start && this.#last !== article;
    article.dataset.run = start;
    article.classList.toggle("follows", start !== article.dataset.at);
    return !same;
  }

  /** Names the days anew: after midnight "Today" is another one. */
  nameDays() {
    for (const heading of this.element.querySelectorAll("h2.day")) {
      const { at } = heading.nextElementSibling.dataset;
      if (at) heading.textContent = dayName(new Date(at));
    }
  }
}

/** A run is what one author says within five minutes of its first message; an answer begins another. Pure. */
export const goesOn = (before, { user, at, answers }) =>
  before.user === user && new Date(at) - new Date(before.run) < RUN_MILLISECONDS && !answers;

function headingOf(article) {
  const above = article.previousElementSibling;
  return above?.localName === "h2" ? above : null;
}

function dayHeading(date) {
  const element = document.createElement("h2");
  element.className = "day";
  element.textContent = dayName(date);
  return element;
}
