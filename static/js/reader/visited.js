// The column for people without an account: rooms by the list of rooms, and what is new by what this browser has read.
import { load, save } from "../page/store.js";

const EVERY = 60_000;
const OF_THE_LAB = ["lab", "lab-silence"];

/** Rows out of the list of rooms. `read` gives the number up to which a room was read, or null; `counted` how many
 *  messages that were, or null where this browser does not know. Pure. */
export const rowsOf = (rooms, read, current, counted = () => null) =>
  rooms
    .filter(({ name }) => name === current || !OF_THE_LAB.includes(name))
    .map(({ name, title, cursor, last, messages }) => {
      const seq = Number(cursor.split(".")[0]);
      const seen = read(name);
      // Edits and reactions move the cursor too; a list without counts is the page's own.
      const newest = messages === undefined ? seq : (last ?? 0);
      const isNew = name !== current && seen !== null && newest > seen;
      const known = messages === undefined ? null : counted(name);
      const unread = isNew && known !== null ? Math.max(1, messages - known) : 0;
      return { name, label: name, title, seq, unread, isNew: isNew && !unread };
    });

/** The counts to keep: of rooms in which everything was read. Pure. */
export const countsOf = (rooms, read) =>
  rooms.filter(({ name, last = 0, messages }) => messages !== undefined && read(name) !== null && last <= read(name));

export class Visited {
  #tag = null;
  #rooms = null; // as the server said last

  /** `base` is that of the API. */
  constructor(column, { base, fetch = globalThis.fetch.bind(globalThis), page = document }) {
    Object.assign(this, { column, base, fetch, page });
    page.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), EVERY);
  }

  read(name) {
    return load(`read:${this.#place(name)}`);
  }
  counted(name) {
    return load(`counted:${this.#place(name)}`);
  }
  #place(name) {
    return this.base === "/api/v1" ? name : `${this.base}:${name}`;
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
    this.#rooms = answer.rooms;
    this.#show();
  }

  /** The page shows another room, with what the server says of all of them. */
  goOn() {
    if (this.#rooms) this.#show();
    else this.begin();
    return this.refresh();
  }

  #show() {
    const read = (name) => this.read(name);
    for (const { name, messages } of countsOf(this.#rooms, read)) save(`counted:${this.#place(name)}`, messages);
    this.column.show(rowsOf(this.#rooms, read, this.column.current, (name) => this.counted(name)));
  }
}
