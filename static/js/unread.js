// Up to where this person has read a room. What is above it at the next visit stands under "New messages".
import { load, save } from "./store.js";

export class Unread {
  /** `looks()` is true while the newest message is in view. */
  constructor(room, looks) {
    Object.assign(this, { key: `read:${room}`, timeKey: `read-at:${room}`, looks });
    /** The number that was read last at the visit before; Infinity at the first one. */
    this.before = load(this.key, Infinity);
    /** When that was. */
    this.since = load(this.timeKey);
    document.addEventListener("visibilitychange", () => this.reached(this.seq));
  }

  /** The page is complete to `seq`. */
  reached(seq) {
    this.seq = seq;
    if (document.hidden || !this.looks() || seq <= load(this.key, -1)) return;
    save(this.key, seq);
    save(this.timeKey, new Date().toISOString());
  }
}
