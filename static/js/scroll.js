// Stick to the bottom, or hold the reader's place and count what is new below.

const NEAR = 80; // px

export class Scroll {
  #unseen = 0;
  #frame = null;
  #top = 0;

  /** `latest` is the address of the newest, on a page that shows the past; `reached()` is called at the newest. */
  constructor(scroller, button, { latest, reached = () => {} } = {}) {
    Object.assign(this, { scroller, button, latest, reached });
    this.stuck = !latest;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => (latest ? location.assign(latest) : this.toBottom()));
    // Pictures of letters, phone keyboards and long composers change the height.
    new ResizeObserver(() => this.stuck && this.toBottom()).observe(scroller);
  }

  get atBottom() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR;
  }

  toBottom() {
    this.stuck = true;
    this.#seen();
    // Once a frame, however many messages come: each look at a height makes the browser lay out the page.
    if (this.#frame !== null) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = null;
      if (this.stuck) this.#drop();
    });
  }

  /** Call it after messages were added below. */
  grown(count) {
    if (this.stuck) return this.toBottom();
    this.#unseen += count;
    this.button.textContent = `${this.#unseen} new ↓`;
    this.button.hidden = this.#unseen === 0;
    return undefined;
  }

  /** Runs a change above the view while the reader is at the bottom. */
  keepBottom(change) {
    change();
    this.#drop();
  }

  /** Begins at an article, with so many new ones below; at the bottom where they are all in view. */
  beginAt(article, count) {
    this.leaveBottom();
    article.scrollIntoView({ block: "start" });
    if (!this.latest && this.atBottom) this.toBottom();
    else this.grown(count);
  }

  /** The reader looks at something else than the newest. */
  leaveBottom() {
    this.stuck = false;
  }

  /** Runs a change above the view and keeps what the reader sees in its place. The browser's own
   *  anchoring fails at the very top. */
  keepPlace(change) {
    const before = this.scroller.scrollHeight;
    const top = this.scroller.scrollTop;
    change();
    this.scroller.scrollTop = top + this.scroller.scrollHeight - before;
  }

  #scrolled() {
    const { scrollTop } = this.scroller;
    // Only a scroll upwards leaves the bottom: in a burst there is always something below already.
    if (scrollTop < this.#top || !this.stuck) this.stuck = !this.latest && this.atBottom;
    this.#top = scrollTop;
    if (!this.stuck) return;
    this.#seen();
    this.reached();
  }

  #drop() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#top = this.scroller.scrollTop;
  }

  #seen() {
    this.#unseen = 0;
    this.button.hidden = true;
  }
}
