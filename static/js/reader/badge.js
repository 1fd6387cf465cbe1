// What came while nobody looked, in the title and on the icons.

export class Badge {
  #count = 0;
  #title = document.title;
  #icon = document.querySelector("link[rel=icon]");
  #plain = this.#icon.href;

  constructor() {
    document.addEventListener("visibilitychange", () => document.hidden || this.#show(0));
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
