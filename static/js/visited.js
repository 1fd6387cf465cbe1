// The column for people without an account: rooms by the list of rooms, and what is new by what this browser has read.
import { load } from "./store.js";

const EVERY = 60_000;
const OF_THE_LAB = ["lab", "lab-silence"];

/** Rows out of the list of rooms. `read` gives the number up to which a room was read, or null. Pure. */
export const rowsOf = (rooms, read, current) =>
  rooms
    .filter(({ name }) => name === current || !OF_THE_LAB.includes(name))
    .map(({ name, title, cursor }) => {
      const seq = Number(cursor.split(".")[0]);
      const seen = read(name);
      return { name, label: name, title, seq, isNew: name !== current && seen !== null && seq > seen };
    });

export class Visited {
  #tag = null;

  /** `base` is that of the API. */
  constructor(column, { base, fetch = globalThis.fetch.bind(globalThis), page = document }) {
    Object.assign(this, { column, base, fetch, page });
    page.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), EVERY);
  }

  read(name) {
    return load(`read:${this.base === "/api/v1" ? name : `${this.base}:${name}`}`);
  }

  /** Shows what the server said with the page. */
  begin() {
    const rooms = this.column.places.map(({ name, seq }) => ({ name, cursor: `${seq}.` }));
    if (rooms.length) this.column.show(rowsOf(rooms, (name) => this.read(name), this.column.current));
  }

  /** Asks for the list while the page is seen; the server answers 304 while nothing changed. */
  async refresh() {
    if (this.page.visibilityState !== "visible") return;
    const headers = { Accept: "application/json", ...(this.#tag && { "If-None-Match": this.#tag }) };
    const response = await this.fetch(`${this.base}/rooms`, { cache: "no-store", headers }).catch(() => null);
    if (response?.status !== 200) return;
    const answer = await response.json().catch(() => null);
    if (!answer?.rooms) return;
    this.#tag = response.headers.get("ETag");
    this.column.show(rowsOf(answer.rooms, (name) => this.read(name), this.column.current));
  }
}
