// Older entries, fetched as the reader comes near the top, or as somebody wants to see one of them.

const NEAR = 300; // px
const AT_ONCE = 200; // entries in a request, when many are wanted
const REACH = 3; // requests to come to one of them; beyond that the server makes a page around it

export class History {
  #loading = null;

  /** `older(before, limit)` fetches {messages, has_more, …}, `show(page)` adds what it holds. */
  constructor({ scroller, link, oldest, older, show }) {
    Object.assign(this, { link, oldest, older, show });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      this.load();
    });
    scroller.addEventListener("scroll", () => scroller.scrollTop < NEAR && this.load(), { passive: true });
  }

  get more() {
    return !this.link.hidden;
  }
  /** Some of what was shown is not shown any more. */
  cut() {
    this.link.hidden = false;
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
    try {
      const page = await this.older(this.oldest(), limit);
      this.show(page);
      this.link.hidden = !page.has_more;
      this.link.textContent = "Earlier messages";
    } catch {
      this.link.textContent = "Earlier messages could not be loaded. Try again";
    }
  }

  /** Loads until `shown()` answers an element, or goes to a page of the server's that has it. */
  async reach(id, shown) {
    for (let tries = 0; !shown() && this.more && tries < REACH; tries += 1) await this.load(AT_ONCE);
    if (shown() || !this.more) return shown();
    const url = new URL(this.link.href);
    url.searchParams.set("before", id + 25);
    url.hash = `m${id}`;
    location.assign(url);
    return null;
  }
}
