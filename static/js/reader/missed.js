// How much came since the last visit, and since when: a way to the first of it, and one to be done with it.
import { sinceWhen } from "../page/dates.js";
import { keepFocus } from "../page/focus.js";
import { missedOf } from "./unread.js";

const AT_ONCE = 400; // that are loaded without being asked for

export class Missed {
  /** `unread` says what was read, `first()` is the first new entry that is loaded; `go(article)` shows it, `done()` marks
   *  all of it as read, and `freed()` is called if what had the focus is gone. */
  constructor(bar, { unread, timeline, history, first, go, done, freed }) {
    Object.assign(this, { bar, unread, timeline, history, first, go });
    bar.querySelector("[data-go]").addEventListener("click", async () => {
      const article = await history.reach(unread.before + 1, () => !this.#more && first(), { anchor: false });
      if (article) go(article);
      this.show();
    });
    bar.querySelector("[data-done]").addEventListener("click", () => {
      keepFocus(() => {
        this.done();
        done();
      }, freed);
    });
  }

  /** The reader is at the newest: all of it is read. */
  done() {
    this.bar.hidden = true;
  }

  /** Older ones that are new are not loaded yet. */
  get #more() {
    return this.history.more && this.timeline.oldest > this.unread.before + 1;
  }

  get missed() {
    const loaded = this.first() ? this.timeline.messages.filter(({ id }) => id > this.unread.before).length : 0;
    return missedOf({ read: this.unread.count, messages: this.unread.messages, loaded, more: this.#more });
  }

  /** Loads back to the first that is new, unless that is far. True if it did. */
  async load() {
    if (!this.#more || !this.first() || this.missed.count > AT_ONCE || !this.missed.exact) return false;
    await this.history.back(() => !this.#more);
    return true;
  }

  show() {
    const { count, exact } = this.missed;
    this.bar.hidden = count === 0;
    const since = this.unread.since ? ` since ${sinceWhen(new Date(this.unread.since))}` : "";
    const number = count.toLocaleString("en");
    this.bar.querySelector("[data-words]").textContent = `${exact ? number : `More than ${number}`} new${since}`;
  }
}
