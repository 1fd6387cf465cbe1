// The list of rooms: others make some too. Asked for when it is looked at; the server answers 304 while nothing changed.
const EVERY = 30_000;

export class Rooms {
  #tag = null;
  #timer = null;

  /** `menu` is the popover with the list, of which the server made the first state; `url` is that of the list. */
  constructor(menu, { url, fetch = globalThis.fetch.bind(globalThis), page = document }) {
    Object.assign(this, { menu, url, fetch, list: menu.querySelector("ul") });
    menu.addEventListener("toggle", ({ newState }) => this.#watch(newState === "open"));
    page.addEventListener("visibilitychange", () => {
      if (page.visibilityState === "visible") this.refresh();
    });
  }

  /** Asks for the list; what cannot be had now is asked for the next time. */
  async refresh() {
    const headers = { Accept: "application/json", ...(this.#tag && { "If-None-Match": this.#tag }) };
    const response = await this.fetch(this.url, { cache: "no-store", headers }).catch(() => null);
    if (response?.status !== 200) return;
    const answer = await response.json().catch(() => null);
    if (!answer?.rooms) return;
    this.#tag = response.headers.get("ETag");
    this.show(answer.rooms);
  }

  /** Adds and takes away rows; the others stay, and the focus with them. */
  show(rooms) {
    const rows = new Map([...this.list.children].map((row) => [row.querySelector("a").textContent, row]));
    const names = new Set(rooms.map(({ name }) => name));
    for (const [name, row] of rows) if (!names.has(name)) row.remove();
    let next = this.list.firstElementChild;
    for (const room of rooms) {
      const row = rows.get(room.name);
      if (row) next = row.nextElementSibling;
      else this.list.insertBefore(this.#row(room), next);
    }
  }

  #watch(open) {
    clearInterval(this.#timer);
    if (!open) return;
    this.refresh();
    this.#timer = setInterval(() => this.refresh(), EVERY);
  }

  #row({ name, title }) {
    const row = document.createElement("li");
    const link = document.createElement("a");
    // As the other links, wherever the chat is.
    link.href = new URL(encodeURIComponent(name), this.list.querySelector("a").href);
    link.textContent = name;
    row.append(link);
    if (title && title !== name) {
      const told = document.createElement("span");
      told.className = "faint";
      told.dir = "auto";
      told.textContent = title;
      row.append(" ", told);
    }
    return row;
  }
}
