// What is written and not sent. Each tab has a draft of its own, which only it takes away; what a tab left that was
// closed, the next one takes up. An account has its own; what was written before it signed in is its too.
import { newId } from "../page/ids.js";
import * as browser from "../page/store.js";

const KEPT = 30 * 86_400_000; // ms

const isEmpty = (draft) => !draft || !Object.keys(draft).length;

export class Drafts {
  /** `by` is the account that writes, if there is one. */
  constructor(place, { by, shared = browser, tab = browser.tab, now = Date.now } = {}) {
    const id = tab.load("tab") ?? newId();
    tab.save("tab", id);
    Object.assign(this, { by, shared, tab, now, place: `draft:${place}` });
    const whose = by ? `:${by}` : "";
    Object.assign(this, {
      here: this.place + whose,
      visitors: `${this.place}:${id}`,
      own: `${this.place}:${id}${whose}`,
    });
  }

  /** The draft of this tab, else the newest that another left; {} if there is none. */
  load() {
    const own = this.tab.load(this.here);
    return (isEmpty(own) && this.#passed()) || (own ?? this.#left() ?? {});
  }

  /** Null takes it away. */
  save(draft) {
    this.tab.save(this.here, draft ?? {});
    this.shared.save(this.own, draft && { ...draft, by: this.by, at: this.now() });
  }

  /** What a visitor wrote in this tab, who has signed in; null if there is nothing. */
  #passed() {
    const draft = this.by ? this.tab.load(this.place) : null;
    if (isEmpty(draft)) return null;
    this.tab.save(this.place, null);
    this.shared.save(this.visitors, null);
    return draft;
  }

  #left() {
    const drafts = this.shared.keys(`${this.place}:`).map((key) => ({ key, ...this.shared.load(key) }));
    for (const { key, at } of drafts) if (this.now() - at > KEPT) this.shared.save(key, null);
    const ours = drafts.filter(({ by }) => !by || by === this.by);
    const { key, ...draft } = ours.sort((a, b) => b.at - a.at)[0] ?? this.#old();
    if (key) this.shared.save(key, null);
    return draft;
  }

  /** As version 0.1.0 kept it. */
  #old() {
    const text = this.shared.load(this.place);
    return typeof text === "string" ? { key: this.place, text } : {};
  }
}
