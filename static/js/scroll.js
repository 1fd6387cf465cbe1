// Stick to the bottom, or hold the reader's place and count what is new below.

const NEAR = 80; // px

export class Scroll {
  #unseen = 0;

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.stuck = true;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => this.toBottom());
    // Pictures of letters, phone keyboards and long composers change the height.
    new ResizeObserver(() => this.stuck && this.toBottom()).observe(scroller);
  }

  get atBottom() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR;
  }

  toBottom() {
    this.stuck = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#seen();
  }

  /** Call it after messages were added below. */
  grown(count) {
    if (this.stuck) return this.toBottom();
    this.#unseen += count;
    this.button.textContent = `${this.#unseen} new ↓`;
    this.button.hidden = this.#unseen === 0;
    return undefined;
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
    this.stuck = this.atBottom;
    if (this.stuck) this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.button.hidden = true;
  }
}
