// What is written and not sent. Each tab has a draft of its own, which only it takes away; what a tab left that was
// closed, the next one takes up.
import { newId } from "../page/ids.js";
import * as browser from "../page/store.js";

const KEPT = 30 * 86_400_000; // ms

export class Drafts {
  constructor(place, { shared = browser, tab = browser.tab, now = Date.now } = {}) {
    const id = tab.load("tab") ?? newId();
    tab.save("tab", id);
    Object.assign(this, { shared, tab, now, place: `draft:${place}`, own: `draft:${place}:${id}` });
  }

  /** The draft of this tab, else the newest that another left; {} if there is none. */
  load() {
    return this.tab.load(this.place) ?? this.#left() ?? {};
  }

  /** Null takes it away. */
  save(draft) {
    this.tab.save(this.place, draft ?? {});
    this.shared.save(this.own, draft && { ...draft, at: this.now() });
  }

  #left() {
    const drafts = this.shared.keys(`${this.place}:`).map((key) => ({ key, ...this.shared.load(key) }));
    for (const { key, at } of drafts) if (this.now() - at > KEPT) this.shared.save(key, null);
    const { key, ...draft } = drafts.sort((a, b) => b.at - a.at)[0] ?? this.#old();
    if (key) this.shared.save(key, null);
    return draft;
  }

  /** As version 0.1.0 kept it. */
  #old() {
    const text = this.shared.load(this.place);
    return typeof text === "string" ? { key: this.place, text } : {};
  }
}
