// More is new than the page has loaded: how much at least, since when, and a way to the first of it.
import { sinceWhen } from "./dates.js";

export class Missed {
  /** `unread` says what was read, `first()` is the first new entry that is loaded, `reach` loads back to a number. */
  constructor(button, { unread, timeline, history, first, go }) {
    Object.assign(this, { button, unread, timeline, history, first });
    button.addEventListener("click", async () => {
      const article = await history.reach(unread.before + 1, () => !this.#more && first(), { anchor: false });
      if (article) go(article);
      this.show();
    });
  }

  /** The reader is at the newest: all of it is read. */
  done() {
    this.button.hidden = true;
  }

  /** Older ones that are new are not loaded yet. */
  get #more() {
    return this.history.more && this.timeline.oldest > this.unread.before + 1;
  }

  show() {
    this.button.hidden = !(this.first() && this.#more);
    this.button.title = "To the first that is new";
    if (this.button.hidden) return;
    const count = this.timeline.entries.filter(({ id }) => id > this.unread.before).length;
    const since = this.unread.since ? ` since ${sinceWhen(new Date(this.unread.since))}` : "";
    this.button.textContent = `More than ${count} new${since} ↑`;
  }
}
