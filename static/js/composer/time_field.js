// A field for a time of one's own, and beside it the offset that the time has; a click takes the other one, if there is.
import { localTime, momentOf, momentsOf, offsetAt } from "./moment.js";

export class TimeField {
  #meant = NaN;

  constructor(input, offset) {
    Object.assign(this, { input, offset });
    input.addEventListener("input", () => this.#mean(NaN));
    offset.addEventListener("click", () => this.#mean(this.#others[0]));
  }

  /** Milliseconds since 1970, or NaN while the field is empty. */
  get moment() {
    return momentOf(this.input.value, { meant: this.#meant });
  }

  set moment(moment) {
    // The field has minutes.
    const meant = Math.floor(moment / 60_000) * 60_000;
    this.input.value = localTime(meant);
    this.#mean(meant);
  }

  get #others() {
    return momentsOf(this.input.value).filter((moment) => moment !== this.moment);
  }

  #mean(moment) {
    this.#meant = moment;
    this.offset.hidden = Number.isNaN(this.moment);
    if (this.offset.hidden) return;
    const others = this.#others;
    this.offset.textContent = offsetAt(this.moment);
    this.offset.disabled = others.length === 0;
    this.offset.title = others.length
      ? `This time comes twice: take the one of ${offsetAt(others[0])}`
      : "The offset of your clock at that time";
  }
}
