// A picture of the log, large: with its description, its neighbours by key and by finger, and its file to keep.
import { inOrder } from "../page/direction.js";
import { atEnd } from "../page/life.js";
import { sizeOf } from "./show.js";

const SWIPE = 60; // pixels
const GONE = "This picture cannot be shown: it was deleted, or is not yours to see any more.";

/** The neighbour of a picture, `by` -1 or 1; null beyond the ends. Pure. */
export const neighbour = (all, one, by) => (all.includes(one) ? (all[all.indexOf(one) + by] ?? null) : null);

/** What is said of a file beside its name. Pure. */
export const factsOf = ({ size, width, height }) =>
  [...(width ? [`${width} × ${height}`] : []), sizeOf(size)].join(" · ");

export class Viewer {
  #link = null; // the one that is shown

  /** `fileOf(link)` is the file as its message has it. */
  constructor(log, fileOf, life) {
    Object.assign(this, { log, fileOf });
    this.#make(life);
    const changes = new MutationObserver(() => this.#link?.isConnected || this.dialog.close());
    const { dialog } = this;
    dialog.addEventListener("keydown", (event) => this.#pressed(event));
    dialog.addEventListener("click", ({ target }) => (target === dialog || target === this.figure) && dialog.close());
    dialog.addEventListener("close", () => {
      changes.disconnect();
      this.image.removeAttribute("src");
      // Where the last one is, which the arrows may have led to.
      if (this.#link.isConnected) this.#link.focus();
    });
    this.#swipes();
    this.open = async (link) => {
      await this.styled;
      if (!link.isConnected) return;
      this.#show(link);
      changes.observe(log, { childList: true, subtree: true });
      if (!dialog.open) dialog.showModal();
      this.closes.focus();
    };
  }

  #make(life) {
    const sheet = made("link", { rel: "stylesheet", href: this.log.dataset.viewer });
    this.styled = new Promise((done) => (sheet.onload = sheet.onerror = done));
    document.head.append(sheet);
    this.image = made("img", { decoding: "async", draggable: false });
    this.image.addEventListener("error", () => {
      this.image.hidden = true;
      this.about.textContent = GONE;
    });
    this.figure = made("figure");
    this.about = made("p", { dir: "auto" });
    this.name = made("bdi");
    this.facts = made("span", { className: "size" });
    this.back = button("←", "Previous picture", () => this.#step(-1));
    this.next = button("→", "Next picture", () => this.#step(1));
    this.saves = made("a", { textContent: "Download" });
    this.closes = button("Close", "Close", () => this.dialog.close());
    const line = made("p", { className: "viewer-file" });
    line.append(this.name, this.facts);
    const bar = made("div", { className: "viewer-bar" });
    bar.append(this.back, this.next, this.saves, this.closes);
    const caption = made("figcaption");
    caption.append(this.about, line, bar);
    this.figure.append(this.image, caption);
    this.dialog = made("dialog", { className: "viewer" });
    this.dialog.append(this.figure);
    document.body.append(this.dialog);
    atEnd(life, () => {
      this.dialog.remove();
      sheet.remove();
    });
  }

  #show(link) {
    const file = this.fileOf(link);
    this.#link = link;
    const { alt = "", name, width, height } = file;
    this.dialog.setAttribute("aria-label", `Picture: ${inOrder(name)}`);
    Object.assign(this.image, { hidden: false, src: link.href, alt: inOrder(alt || name), width, height });
    this.about.textContent = inOrder(alt);
    this.name.textContent = inOrder(name);
    this.facts.textContent = factsOf(file);
    Object.assign(this.saves, { href: link.href, download: name });
    const all = this.#all();
    this.back.disabled = !neighbour(all, link, -1);
    this.next.disabled = !neighbour(all, link, 1);
  }

  #all() {
    return [...this.log.querySelectorAll(".picture")];
  }

  #step(by) {
    const link = neighbour(this.#all(), this.#link, by);
    if (!link) return;
    this.#show(link);
    // A button that is disabled loses the focus, and with it the keys.
    if (!this.dialog.contains(document.activeElement) || document.activeElement.disabled) this.closes.focus();
  }

  #pressed(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    this.#step(by);
  }

  #swipes() {
    let start = null;
    this.figure.addEventListener("pointerdown", ({ clientX, isPrimary, pointerType }) => {
      start = isPrimary && pointerType === "touch" ? clientX : null; // a second finger zooms
    });
    this.figure.addEventListener("pointerup", ({ clientX }) => {
      const moved = start === null || visualViewport.scale > 1 ? 0 : clientX - start;
      start = null;
      if (Math.abs(moved) > SWIPE) this.#step(moved < 0 ? 1 : -1);
    });
  }
}

const made = (kind, about = {}) => Object.assign(document.createElement(kind), about);

function button(text, label, act) {
  const element = made("button", { type: "button", textContent: text });
  if (label !== text) element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}
