// "@" and some letters in the composer: names of people in the room, to be called. Loaded with the first "@".
import { composes, replace } from "../composer/fields.js";

const MOST = 6;

/** The beginning of a name behind an "@" that stands right before the cursor, or null. Pure. */
export function soughtIn(text, cursor) {
  const [, sought] = /(?:^|[^\p{L}\p{N}_])@([\p{L}\p{N}_.\- ]{0,40})$/u.exec(text.slice(0, cursor)) ?? [];
  return sought === undefined || /\s\s|^\s/u.test(sought) ? null : sought;
}

/** The names that begin so, or have a word that does. Pure. */
export function namesFor(sought, names) {
  const begin = sought.toLowerCase();
  const fits = (name) => name.toLowerCase().startsWith(begin) || name.toLowerCase().includes(` ${begin}`);
  return names.filter((name) => fits(name) && name.toLowerCase() !== begin).slice(0, MOST);
}

export class Mentions {
  #names = [];
  #at = 0;
  #sought = "";

  /** `people` are those who can be called. */
  constructor(field, list, people) {
    Object.assign(this, { field, list, people });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "People");
    field.addEventListener("input", () => this.look());
    field.addEventListener("blur", () => setTimeout(() => this.#close(), 150));
    // Before the composer, for which Enter sends.
    field.addEventListener("keydown", (event) => this.#pressed(event), { capture: true });
    list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...list.children].indexOf(option));
    });
  }

  /** Offers names for what stands before the cursor. */
  look() {
    const sought = soughtIn(this.field.value, this.field.selectionStart);
    this.#names = sought === null ? [] : namesFor(sought, this.people.names());
    this.#sought = sought ?? "";
    this.#at = 0;
    if (sought !== null) this.people.load(() => this.look());
    if (!this.#names.length) return this.#close();
    this.list.replaceChildren(
      ...this.#names.map((name, at) => {
        const option = document.createElement("div");
        Object.assign(option, { id: `mention-${at}`, role: "option", textContent: name, dir: "auto" });
        return option;
      }),
    );
    this.list.hidden = false;
    return this.#mark();
  }

  #mark() {
    [...this.list.children].forEach((each, at) => each.setAttribute("aria-selected", String(at === this.#at)));
    this.field.setAttribute("aria-activedescendant", `mention-${this.#at}`);
  }

  #close() {
    this.list.hidden = true;
    this.field.removeAttribute("aria-activedescendant");
  }

  #pressed(event) {
    if (this.list.hidden || composes(event)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.#at = (this.#at + step + this.#names.length) % this.#names.length;
      this.#mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) this.#take(this.#at);
    else if (event.key === "Escape") this.#close();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  #take(at) {
    const end = this.field.selectionStart;
    replace(this.field, end - this.#sought.length, end, `${this.#names[at]} `);
    this.#close();
  }
}
