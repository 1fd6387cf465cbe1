// Ctrl+K: to a room, to a person, or to a search, by a few letters. Loaded when it is asked for.
import { composes } from "../composer/fields.js";
import { roomsShown } from "./keys.js";

/** Those whose names fit, the best first: the whole name, its beginning, the beginning of a word, anywhere. Pure. */
export function fitting(all, query, most = 12) {
  const sought = query.trim().toLowerCase();
  const rank = ({ label, title = "" }) => {
    const name = label.toLowerCase();
    if (name === sought) return 0;
    if (name.startsWith(sought)) return 1;
    if (`${name} ${title.toLowerCase()}`.split(/[\s\-_.]+/u).some((word) => word.startsWith(sought))) return 2;
    return name.includes(sought) ? 3 : null;
  };
  return all
    .map((each) => ({ each, rank: rank(each) }))
    .filter((found) => found.rank !== null)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, most)
    .map(({ each }) => each);
}

export class Switcher {
  #shown = [];
  #at = 0;

  /** Of `people`, one that is taken is called in the composer, by `call(name)`. `search` is an address. */
  constructor(dialog, { people, call, search }) {
    Object.assign(this, { dialog, people, call, search });
    this.field = dialog.querySelector("input");
    this.list = dialog.querySelector("#switches");
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Rooms and people");
    for (const [name, value] of Object.entries({
      role: "combobox",
      "aria-controls": "switches",
      "aria-expanded": "true",
    }))
      this.field.setAttribute(name, value);
    this.field.addEventListener("input", () => this.#show());
    this.field.addEventListener("keydown", (event) => this.#pressed(event));
    this.list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      if (option) this.#take(this.#shown[[...this.list.children].indexOf(option)]);
    });
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  }

  open() {
    this.field.value = "";
    this.dialog.showModal();
    this.#show();
    this.people.load(() => this.#show());
  }

  #show() {
    const query = this.field.value.trim();
    const rooms = roomsShown().map((room) => ({ ...room, kind: "room" }));
    const people = this.people.names().map((name) => ({ label: name, kind: "person", go: () => this.call(name) }));
    this.#shown = fitting(query ? [...rooms, ...people] : rooms, query);
    if (query && this.search) this.#shown.push(this.#searching(query));
    this.#at = 0;
    this.list.replaceChildren(...this.#shown.map(option));
    this.#mark();
  }

  #searching(query) {
    const url = new URL(this.search, location.href);
    url.searchParams.set("q", query);
    return { label: `Search for “${query}”`, kind: "messages", go: () => location.assign(url) };
  }

  #mark() {
    const options = [...this.list.children];
    options.forEach((each, at) => each.setAttribute("aria-selected", String(at === this.#at)));
    options[this.#at]?.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", options[this.#at]?.id ?? "");
  }

  #pressed(event) {
    if (composes(event)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.#shown.length) this.#at = (this.#at + step + this.#shown.length) % this.#shown.length;
    if (step) this.#mark();
    else if (event.key === "Enter") this.#take(this.#shown[this.#at]);
    else return;
    event.preventDefault();
  }

  #take(chosen) {
    if (!chosen) return;
    this.dialog.close();
    chosen.go();
  }
}

function option({ label, title, kind, news }, at) {
  const element = document.createElement("div");
  const name = document.createElement("bdi");
  const about = document.createElement("span");
  Object.assign(element, { id: `switch-${at}`, role: "option" });
  element.classList.toggle("news", Boolean(news));
  name.textContent = label;
  about.className = "faint";
  about.textContent = kind === "room" ? title || "room" : kind;
  element.append(name, about);
  return element;
}
