// Older entries, fetched as the reader comes near the top, or as somebody wants to see one of them.
import { keepFocus } from "../page/focus.js";

const NEAR = 300; // px
const AT_ONCE = 200; // entries in a request, when many are wanted
const REACH = 3; // requests to come to one of them; beyond that the server makes a page around it

/** Returns where message `id` is: "here" in the page (or nowhere), "near" enough to be loaded, or on another "page" of
 *  the server's. The numbers are those of all events, so that fewer messages may lie between. Pure. */
export function locate(id, { oldest, newest, more, past = false }) {
  if (id > newest) return past ? "page" : "here";
  if (id >= oldest || !more) return "here";
  return oldest - id > REACH * AT_ONCE ? "page" : "near";
}

export class History {
  #loading = null;
  #changes = []; // events that have changed entries since the page under way was asked for
  #held = null; // where the page began to scroll, not the reader

  /** `older(before, limit)` fetches {messages, has_more, …}, `show(page, changes)` adds what it holds, which may be as it
   *  was before these events; a page of the `past` ends before the newest of the room. */
  constructor({ scroller, link, oldest, newest, past, older, show, life }) {
    Object.assign(this, { link, oldest, newest, past, older, show, life });
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      this.load();
    });
    this.scroller = scroller;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  /** Loads nothing for as long as the reader does not scroll from here. */
  hold() {
    this.#held = this.scroller.scrollTop;
  }

  #scrolled() {
    const { scrollTop } = this.scroller;
    if (scrollTop === this.#held) return;
    this.#held = null;
    if (scrollTop < NEAR) this.load();
  }

  get more() {
    return !this.link.hidden;
  }
  /** What is shown begins elsewhere now: says whether there is more before it. */
  set more(more) {
    this.link.hidden = !more;
  }

  /** An event has changed an entry, which may be one of the page that is under way. */
  changed(event) {
    if (this.#loading) this.#changes.push(event);
  }

  /** Fetches the next page; a second call while it is under way gets the same. */
  load(limit = 50) {
    if (this.more)
      this.#loading ??= this.#load(limit).finally(() => {
        this.#loading = null;
      });
    return this.#loading;
  }

  async #load(limit) {
    this.link.textContent = "Loading…";
    this.#changes = [];
    try {
      const before = this.oldest();
      const page = await this.older(before, limit);
      // What is shown may begin elsewhere by now: then this page would leave a gap.
      if (this.oldest() === before) this.#add(page);
      this.link.textContent = "Earlier messages";
    } catch {
      this.link.textContent = "Earlier messages could not be loaded. Try again";
    }
  }

  #add(page) {
    this.show(page, this.#changes);
    const show = () => {
      this.more = page.has_more;
    };
    const byKey = this.link.matches(":focus-visible");
    keepFocus(show, () => byKey && this.scroller.querySelector("article")?.focus({ preventScroll: true }));
  }

  /** Loads until `enough()`, for some requests. */
  async back(enough) {
    for (let tries = 0; !enough() && this.more && tries < REACH && !this.life?.aborted; tries += 1)
      await this.load(AT_ONCE);
  }

  /** Loads until `shown()` answers an element, or goes to a page of the server's that has it: to the `anchor` there. */
  async reach(id, shown, { anchor = true } = {}) {
    const place = () => locate(id, { oldest: this.oldest(), newest: this.newest(), more: this.more, past: this.past });
    if (place() === "near") await this.back(shown);
    if (shown() || place() === "here" || this.life?.aborted) return shown();
    const url = new URL(this.link.href);
    url.searchParams.set("before", id + 25);
    url.hash = anchor ? `m${id}` : "";
    if (url.pathname + url.search === location.pathname + location.search) return shown(); // it has no such message
    location.assign(url);
    return new Promise(() => {}); // nothing is to be said of it here
  }
}
