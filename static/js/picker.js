// The few emoji that the page offers, in one popover for all messages.

export class Picker {
  #chosen = () => {};
  #opener = null;

  constructor(popover) {
    this.popover = popover;
    popover.addEventListener("click", ({ target }) => {
      const { emoji } = target.closest("[data-emoji]")?.dataset ?? {};
      if (!emoji) return;
      popover.hidePopover();
      this.#opener?.focus();
      this.#chosen(emoji);
    });
  }

  /** Shows them; `chosen(emoji)` is called once at most. */
  open(opener, chosen) {
    this.#opener = opener;
    this.#chosen = chosen;
    this.popover.showPopover();
    this.popover.querySelector("button").focus();
  }
}
