// What came while nobody looked, in the title and on the icons.
import { atEnd } from "../page/life.js";

export class Badge {
  #count = 0;
  #title = document.title;
  #icon = document.querySelector("link[rel=icon]");
  #plain = this.#icon.href;

  constructor(life) {
    document.addEventListener("visibilitychange", () => document.hidden || this.#show(0), { signal: life });
    atEnd(life, () => this.#show(0));
  }

  add() {
    if (document.hidden) this.#show(this.#count + 1);
  }

  #show(count) {
    this.#count = count;
    document.title = count ? `(${count}) ${this.#title}` : this.#title;
    this.#icon.href = count ? this.#icon.dataset.unread : this.#plain;
    navigator.setAppBadge?.(count).catch(() => {});
  }
}
