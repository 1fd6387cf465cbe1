// Up to where this person has read a room. What is above it at the next visit stands under "New messages".
import { Backoff } from "../backoff.js";
import { onLeaving } from "../page/life.js";
import { load, save } from "../page/store.js";

const PACE = 3_000; // ms between two marks of an account

/** How many were missed, and whether that is all of them. `read` and `messages` count the messages sent up to then and
 *  up to now, `loaded` those that are new and on the page, of which `more` are not. Pure. */
export function missedOf({ read, messages, loaded, more }) {
  if (!loaded) return { count: 0, exact: true };
  if (!more) return { count: loaded, exact: true };
  const known = Number.isFinite(read) && messages - read >= loaded;
  return known ? { count: messages - read, exact: true } : { count: loaded, exact: false };
}

export class Unread {
  #timer = null;
  #pace = 0;
  #backoff = new Backoff({ min: PACE });
  #due = 0; // the newest that was seen
  #marked = 0; // the server has it, or is being told

  /** `looks()` is true while the newest message is in view; `messages` were sent so far, and `head` is the number of the
   *  newest event. Of an account `read` is what the server has, and `mark(seq)` tells it; it rejects if that failed.
   *  It would join an account that has not `joined`. */
  constructor(room, looks, options = {}) {
    const { messages = 0, read = null, mark = null, joined = read !== null, head = Infinity, life } = options;
    Object.assign(this, { key: `read:${room}`, timeKey: `read-at:${room}`, countKey: `read-n:${room}` });
    Object.assign(this, { looks, messages, mark, joined });
    // A log that has begun anew, such as after its data was lost: nothing of it was read.
    if (load(this.key, 0) > head) for (const key of [this.key, this.timeKey, this.countKey]) save(key, null);
    /** The number that was read last at the visit before; Infinity at the first one. */
    this.before = read?.id ?? load(this.key, Infinity);
    /** How many messages that were. */
    this.count = read?.messages ?? load(this.countKey, NaN) ?? NaN;
    /** When that was. */
    this.since = load(this.timeKey);
    onLeaving(life, () => this.#send(true));
  }

  /** The page is complete to `seq`. */
  reached(seq = this.seq) {
    this.seq = seq;
    const isSeen = !document.hidden && this.looks();
    if (isSeen) this.#due = seq;
    this.#plan();
    if (!isSeen || seq <= load(this.key, -1)) return;
    save(this.key, seq);
    save(this.countKey, this.messages);
    save(this.timeKey, new Date().toISOString());
  }

  /** Nobody looks any more: what comes from here on is new. True if all was read. */
  left() {
    if (!this.looks()) return false;
    Object.assign(this, { before: this.seq, count: this.messages, since: new Date().toISOString() });
    return true;
  }

  /** Takes in whether the account is a member of the room now. */
  joins(joined) {
    this.joined = joined;
    this.#plan();
  }

  get #isBehind() {
    return this.mark && this.joined && this.#due > this.#marked;
  }

  #plan() {
    if (this.#isBehind) this.#timer ??= setTimeout(() => this.#send(), this.#pace);
  }

  /** Tells the server; again after a pause, or when more is reached, if it was not told. */
  async #send(leaving = false) {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#isBehind) return;
    const [due, before] = [this.#due, this.#marked];
    this.#pace = PACE;
    this.#marked = due;
    try {
      await this.mark(due, leaving);
      this.#backoff.reset();
    } catch (error) {
      if (error.final || this.#marked !== due) return; // it is refused for good, or a later one has been sent
      this.#marked = before;
      setTimeout(() => this.#plan(), this.#backoff.next(error.retryIn ?? 0));
    }
  }
}
