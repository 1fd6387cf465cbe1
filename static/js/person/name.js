// Who writes: asked for before anything is written, on a line of its own; then it can be changed behind "Aa".
import { composes } from "../composer/fields.js";
import { load, save } from "../page/store.js";

/** The next free name to offer for one that is taken: "Bo 2" for "Bo". Pure. */
export function nextName(name) {
  const [, base, number] = /^(.*?)(?: (\d{1,4}))?$/u.exec(name);
  return `${[...base].slice(0, 34).join("")} ${Number(number ?? 1) + 1}`;
}

export class Name {
  #asks = false;

  /** `isEmpty()` is true while nothing is written, `joined()` is called once there is a name. */
  constructor(form, { isEmpty, joined }) {
    Object.assign(this, { form, isEmpty, joined, field: form.elements.user });
    this.field.value ||= load("user", "");
    this.#asks = !this.value;
    this.field.addEventListener("change", () => save("user", this.field.value));
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || composes(event) || !isEmpty()) return;
      event.preventDefault();
      this.#join();
    });
    form.querySelector("#join").addEventListener("click", () => this.#join());
    form.querySelector("#rename")?.addEventListener("click", () => {
      form.querySelector("#format").hidePopover();
      this.ask();
    });
    this.show();
  }

  get value() {
    return this.field.value.trim();
  }

  /** Asks for it, or for another. */
  ask() {
    this.#asks = true;
    this.show();
    this.field.focus();
    this.field.select();
  }

  /** Takes a name that is given. */
  take(name) {
    this.field.value = name;
    save("user", name);
    this.#asks = false;
    this.show();
  }

  /** While it asks there is its line; what is written already stays beside it. */
  show() {
    const asks = this.#asks && !this.field.readOnly;
    this.form.dataset.who = asks ? (this.isEmpty() ? "first" : "ask") : "known";
    const own = this.form.querySelector(".own-name");
    if (own) own.textContent = this.value;
  }

  #join() {
    if (!this.value || !this.field.checkValidity()) {
      this.field.focus();
      return;
    }
    this.take(this.field.value);
    this.joined();
  }
}
