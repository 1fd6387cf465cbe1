// What came while nobody looked, in the title and on the icon.

export class Badge {
  #count = 0;
  #title = document.title;

  constructor() {
    document.addEventListener("visibilitychange", () => document.hidden || this.#show(0));
  }

  add() {
    if (document.hidden) this.#show(this.#count + 1);
  }

  #show(count) {
    this.#count = count;
    document.title = count ? `(${count}) ${this.#title}` : this.#title;
    navigator.setAppBadge?.(count).catch(() => {});
  }
}
