// A browser opens six connections to a server (HTTP/1.1). Of all its pages that poll, four hold a request; the others
// ask from time to time, so that pages and messages find a connection. The pages agree by what the browser keeps.
import { newId } from "../page/ids.js";
import * as browser from "../page/store.js";

const MOST = 4;
const EXPIRES = 60_000; // ms; a page that crashed takes nothing away

export class Holds {
  constructor(base, { store = browser, now = Date.now, isSeen = () => !globalThis.document?.hidden } = {}) {
    Object.assign(this, { key: `hold:${base}:`, store, now, isSeen });
  }

  /** A place in the row of those that poll. */
  enter() {
    const own = this.key + newId();
    const since = this.now();
    let holding = false;
    const leave = () => {
      this.store.save(own, null);
      globalThis.removeEventListener?.("pagehide", leave);
    };
    const mayHold = () => {
      this.store.save(own, { since, at: this.now(), seen: this.isSeen(), holding });
      holding = this.#grants(own);
      this.store.save(own, { since, at: this.now(), seen: this.isSeen(), holding });
      return holding;
    };
    globalThis.addEventListener?.("pagehide", leave);
    mayHold();
    return { mayHold, leave };
  }

  #grants(own) {
    const row = this.store
      .keys(this.key)
      .map((key) => ({ key, ...this.store.load(key) }))
      .filter(({ at }) => this.now() - at < EXPIRES)
      .sort((a, b) => a.since - b.since || a.key.localeCompare(b.key));
    // The last place is for the page that somebody looks at.
    const last = row.slice(MOST - 1).find(({ seen }) => seen) ?? row[MOST - 1];
    const chosen = row.slice(0, MOST - 1).concat(last ?? []);
    // A page that has lost its place may still hold a request for a while.
    const others = row.filter(({ key, holding }) => holding && key !== own).length;
    return chosen.some(({ key }) => key === own) && others < MOST;
  }
}
