// The menu of a message: one for all of them, loaded with the first that is opened. Arrow keys go through it, Esc and a click elsewhere close it.
import { openBeside } from "./place.js";

export class Menu {
  #chosen = () => {};
  #opener = null;

  constructor(element) {
    this.element = element;
    element.addEventListener("click", ({ target }) => {
      const item = target.closest("button");
      if (!item) return;
      const chosen = this.#chosen;
      // Closed first: what is chosen may put the focus elsewhere.
      element.hidePopover();
      chosen(item.dataset.action ?? "emoji", item.dataset.emoji, this.#opener);
    });
    element.addEventListener("keydown", (event) => this.#pressed(event));
    element.addEventListener("toggle", ({ newState }) =>
      this.#opener?.setAttribute("aria-expanded", newState === "open"),
    );
  }

  /** `may(action)` says what is offered, `pressed` has the reaction and emoji of this person. */
  open(opener, { may, pressed, chosen }) {
    this.#opener = opener;
    this.#chosen = chosen;
    for (const item of this.#all) {
      item.hidden = !may(item.dataset.action);
      const mark = item.dataset.emoji ?? item.dataset.action;
      item.classList.toggle("chosen", pressed.includes(mark));
    }
    openBeside(this.element, opener);
    this.#items[0]?.focus();
  }

  get #all() {
    return [...this.element.querySelectorAll("button")];
  }
  get #items() {
    return this.#all.filter((item) => !item.hidden);
  }

  #pressed(event) {
    const items = this.#items;
    const at = items.indexOf(document.activeElement);
    const quick = items.filter((item) => item.closest(".quick"));
    const below = items.filter((item) => !item.closest(".quick"));
    const inQuick = quick.includes(items[at]);
    const to = {
      ArrowDown: () => (inQuick ? below[0] : (items[at + 1] ?? items[0])),
      ArrowUp: () => (inQuick ? items.at(-1) : (items[at - 1] ?? items.at(-1))),
      ArrowRight: () => inQuick && quick[(at + 1) % quick.length],
      ArrowLeft: () => inQuick && quick.at(at - 1),
      Home: () => items[0],
      End: () => items.at(-1),
    }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    to.focus();
  }
}
