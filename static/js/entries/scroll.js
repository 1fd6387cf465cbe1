// Stick to the bottom, or hold the reader's place and count what is new below.
import { keepFocus } from "../page/focus.js";
import { atEnd } from "../page/life.js";

const NEAR = 80; // px

export class Scroll {
  #stuck = false;
  #unseen = 0;
  #frame = null;
  #top = 0;
  #height = 0;

  /** `latest` is the address of the newest, on a page that shows the past; `reached()` is called at the newest,
   *  and `freed()` if the way there had the focus. */
  constructor(scroller, button, { latest, reached = () => {}, freed = () => {}, life } = {}) {
    Object.assign(this, { scroller, button, latest, reached });
    this.stuck = !latest;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const down = () => (latest ? location.assign(latest) : this.toBottom());
    button.addEventListener("click", () => keepFocus(down, freed));
    // Pictures of letters, phone keyboards, long composers and a last row that grows change the heights.
    const sizes = new ResizeObserver(() => this.stuck && this.toBottom());
    for (const each of [scroller, ...scroller.children]) sizes.observe(each);
    atEnd(life, () => sizes.disconnect());
    this.#offer();
  }

  get stuck() {
    return this.#stuck;
  }
  set stuck(stuck) {
    this.#stuck = stuck;
    // Firefox holds its place some frames later, which looks as if the reader had scrolled up.
    this.scroller.style.overflowAnchor = stuck ? "none" : "";
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
    this.#offer();
    return undefined;
  }

  /** Runs a change above the view while the reader is at the bottom. */
  keepBottom(change) {
    change();
    this.#drop();
  }

  /** Begins at an article, with so many new ones below; at the bottom where they are all in view. */
  beginAt(article, count) {
    this.#unseen = 0;
    this.leaveBottom();
    article.scrollIntoView({ block: "start" });
    if (!this.latest && this.atBottom) this.toBottom();
    else this.grown(count);
  }

  /** The reader looks at something else than the newest. */
  leaveBottom() {
    this.stuck = false;
    this.#offer();
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
    const { scrollTop, scrollHeight } = this.scroller;
    // Only a scroll upwards leaves the bottom: in a burst there is always something below already. If the log has
    // shrunk, the browser moved the view, not the reader.
    const byReader = scrollTop < this.#top && scrollHeight >= this.#height;
    if (byReader || !this.stuck) this.stuck = !this.latest && this.atBottom;
    this.#place(scrollTop, scrollHeight);
    if (!this.stuck) return this.#offer();
    this.#seen();
    this.reached();
    return undefined;
  }

  #drop() {
    const { scrollHeight } = this.scroller;
    this.scroller.scrollTop = scrollHeight;
    this.#place(this.scroller.scrollTop, scrollHeight);
  }

  #place(top, height) {
    this.#top = top;
    this.#height = height;
  }

  #seen() {
    this.#unseen = 0;
    this.#offer();
  }

  /** The way down, whenever the reader is not there; with the number of what is new. */
  #offer() {
    const [shown, spoken] = this.#unseen
      ? [`${this.#unseen} new ↓`, `To the ${this.#unseen} new messages`]
      : ["↓", "To the newest message"];
    if (this.button.textContent !== shown) this.button.textContent = shown;
    if (this.button.getAttribute("aria-label") !== spoken) this.button.setAttribute("aria-label", spoken);
    if (this.button.hidden !== this.stuck) this.button.hidden = this.stuck;
  }
}
