// The emoji to react with: some at hand, all others by their names (CLDR short names), which are fetched when needed.
import { composes } from "../composer/fields.js";
import { openBeside } from "./place.js";

const MOST = 48; // shown at once

/** Lines of "emoji name" as [emoji, name]. Pure. */
export const parsed = (text) =>
  text
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]);

/** Those whose names have words that begin as all of the query's do; names that begin so come first. Pure. */
export function found(all, query) {
  const words = query.toLowerCase().split(/\s+/u).filter(Boolean);
  const has = (name) =>
    words.every((word) => name.startsWith(word) || name.includes(` ${word}`) || name.includes(`-${word}`));
  const [first, later] = [[], []];
  for (const each of all)
    if (has(each[1].toLowerCase())) (each[1].startsWith(words[0] ?? "") ? first : later).push(each);
  return [...first, ...later].slice(0, MOST);
}

export class Picker {
  #chosen = () => {};
  #all = null;

  constructor(element) {
    this.element = element;
    this.field = element.querySelector("input");
    this.grid = element.querySelector(".emoji-grid");
    this.usual = [...this.grid.children];
    this.field.addEventListener("input", () => this.#search());
    element.addEventListener("keydown", (event) => this.#pressed(event));
    this.grid.addEventListener("click", ({ target }) => this.#choose(target.closest("[data-emoji]")));
    for (const type of ["focusin", "pointerover"])
      this.grid.addEventListener(type, ({ target }) => this.#name(target.closest("[data-emoji]")));
  }

  /** Shows the choice beside a button; `chosen(emoji)` hears what is taken. */
  open(button, chosen) {
    this.#chosen = chosen;
    this.field.value = "";
    this.grid.replaceChildren(...this.usual);
    openBeside(this.element, button);
    this.field.focus();
  }

  #choose(button) {
    if (!button) return;
    this.element.hidePopover();
    this.#chosen(button.dataset.emoji);
  }

  async #search() {
    const { value } = this.field;
    this.#all ??= fetch(this.element.dataset.names)
      .then((answer) => answer.text())
      .then(parsed);
    const all = await this.#all.catch(() => {
      this.#all = null;
      return [];
    });
    if (this.field.value !== value) return;
    const shown = value.trim() ? found(all, value).map(button) : this.usual;
    this.grid.replaceChildren(...shown);
    this.#say(shown.length ? `${shown.length} found` : "No emoji has this name.");
  }

  async #name(target) {
    const name = target && (target.title || new Map(await this.#all).get(target.dataset.emoji));
    if (name) this.#say(name);
  }

  #say(text) {
    this.element.querySelector(".emoji-name").textContent = text;
  }

  #pressed(event) {
    if (composes(event)) return undefined;
    const all = [...this.grid.children];
    const at = all.indexOf(document.activeElement);
    const inField = document.activeElement === this.field;
    // In a field for searches Esc would only empty it.
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation(); // for the page, where nothing is open any more, it means that all is read
      return this.element.hidePopover();
    }
    if (inField && event.key === "Enter") {
      event.preventDefault();
      return this.#choose(all[0]);
    }
    const columns = all.findIndex((each) => each.offsetTop > all[0].offsetTop);
    const row = columns > 0 ? columns : all.length;
    const step = { ArrowDown: row, ArrowUp: -row, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || (inField && event.key !== "ArrowDown")) return undefined;
    event.preventDefault();
    event.stopPropagation();
    const to = inField ? all[0] : all[at + step];
    return to ? to.focus() : step < 0 && this.field.focus();
  }
}

function button([emoji, name]) {
  const element = document.createElement("button");
  element.type = "button";
  element.dataset.emoji = emoji;
  element.title = name;
  element.setAttribute("aria-label", name);
  element.textContent = emoji;
  return element;
}
