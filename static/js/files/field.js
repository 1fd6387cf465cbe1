// The files of the message that is being written: chosen, dropped or pasted, on their way or here, and described.
import { tooLong } from "../composer/lengths.js";
import { newId } from "../page/ids.js";
import { atEnd } from "../page/life.js";
import { reasonOf } from "../problem.js";
import { Kept } from "./kept.js";
import { sizeOf } from "./show.js";
import { upload } from "./upload.js";

const MOST = 10;
const SHOWN = /^(image|audio|video)\//;
const MOST_ALT = 500;

export class Files {
  #items = []; // {id, row, control, file, alt}; `file` is the server's as soon as it has all of it

  /** `user()` is the author; `refuse(text)` says what is wrong; `place` is what this browser keeps for the room. */
  constructor(form, { api, place, user, refuse, life, kept = new Kept(place) }) {
    Object.assign(this, { form, api, user, refuse, life, kept });
    this.input = form.querySelector("[name=file]");
    this.list = form.querySelector(".files-waiting");
    if (!this.input) return;
    this.input.multiple = true;
    this.input.addEventListener("change", () => {
      this.add(this.input.files);
      this.input.value = "";
    });
    form.addEventListener("paste", (event) => this.#dropped(event, event.clipboardData));
    for (const name of ["dragover", "drop"]) {
      document.addEventListener(name, (event) => this.#dragged(event), { signal: life });
    }
    // Before the composer, which sends.
    form.addEventListener("submit", (event) => this.#submit(event), { capture: true });
    atEnd(life, () => kept.end());
    this.#resume();
  }

  get isEmpty() {
    return !this.#items.length;
  }

  /** True if there is one that the server has. */
  get areHere() {
    return this.#items.some(({ file }) => file);
  }

  /** Goes on with what a page before this one left. */
  async #resume() {
    for (const { id, file, url, alt } of await this.kept.left(this.user())) {
      if (this.#items.length < MOST && !this.life?.aborted) this.#begin(file, { id, url, alt });
    }
  }

  add(files) {
    for (const file of [...files]) {
      if (this.#items.length === MOST) return this.refuse(`A message has at most ${MOST} files.`);
      this.#begin(file);
    }
    return undefined;
  }

  /** The message with the files that are here, which leave the form. */
  take(message) {
    if (!this.#items.length) return message; // also where nobody uploads
    const files = this.#items.flatMap(({ file, alt }) => (file ? [alt ? { id: file.id, alt } : file.id] : []));
    for (const { id, row } of this.#items) {
      row.remove();
      this.kept.remove(id);
    }
    this.#items = [];
    this.#need();
    return files.length ? { ...message, files } : message;
  }

  async #begin(file, { id = newId(), url = null, alt = "" } = {}) {
    const control = new AbortController();
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("bdi"), { textContent: file.name });
    const state = Object.assign(document.createElement("span"), { className: "size", textContent: sizeOf(file.size) });
    const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
    bar.setAttribute("aria-label", file.name);
    const cancel = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
    cancel.setAttribute("aria-label", `Remove ${file.name}`);
    const item = { id, row, control, file: null, alt };
    const keep = () => this.kept.save(id, { file, url, alt: item.alt, by: this.user() });
    row.append(name, state, bar, cancel, ...(SHOWN.test(file.type) ? [this.#described(item, file, keep)] : []));
    cancel.addEventListener("click", () => this.#remove(item));
    this.#items.push(item);
    this.list.append(row);
    this.#need();
    const progress = (part) => {
      bar.value = part;
    };
    try {
      const begun = (at) => {
        url = at;
        keep();
      };
      item.file = await upload(this.api, file, { known: url, signal: control.signal, begun, progress });
      bar.remove();
      if (!item.file) this.#forget(item); // another page has sent it
    } catch (error) {
      if (control.signal.aborted) return;
      bar.remove();
      item.failed = true;
      this.kept.remove(id);
      state.textContent = reasonOf(error);
      row.classList.add("refused");
    }
  }

  #remove(item) {
    item.control.abort();
    this.#forget(item);
    if (item.file) this.api.fetch(`${this.api.base}/files/${item.file.id}`, { method: "DELETE" }).catch(() => {});
    this.form.elements.message.focus();
  }

  #forget(item) {
    item.row.remove();
    this.#items = this.#items.filter((each) => each !== item);
    this.kept.remove(item.id);
    this.#need();
  }

  /** The field for what a file shows. */
  #described(item, { name }, keep) {
    const field = document.createElement("input");
    Object.assign(field, {
      type: "text",
      value: item.alt,
      placeholder: "What it shows",
      dir: "auto",
    });
    field.setAttribute("aria-label", `What ${name} shows, for those who do not see it`);
    const check = () => {
      const words = tooLong(item.alt, MOST_ALT, "The description");
      if (words !== field.validationMessage) this.refuse(words);
      field.setCustomValidity(words);
    };
    field.addEventListener("input", () => {
      item.alt = field.value.trim();
      check();
    });
    field.addEventListener("change", keep);
    check(); // what a page before this one left
    return field;
  }

  /** Beside files a message needs no text. */
  #need() {
    this.list.hidden = !this.#items.length;
    this.form.elements.message.required = !this.#items.length;
  }

  #dragged(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "drop") this.add(event.dataTransfer.files);
  }

  #dropped(event, { files }) {
    if (!files.length) return;
    event.preventDefault();
    this.add(files);
  }

  #submit(event) {
    if (this.#items.every(({ file, failed }) => file || failed)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.refuse("Your files are still on their way. Send when they are here, or remove them.");
  }
}
