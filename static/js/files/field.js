// The files of the message that is being written: chosen, dropped or pasted, on their way or here.
import { reasonOf } from "../problem.js";
import { sizeOf } from "./show.js";
import { upload } from "./upload.js";

const MOST = 10;

export class Files {
  #items = []; // {row, control, file}; `file` is the server's as soon as it has all of it

  /** `send(message)` sends one without a text, `user()` is its author; `refuse(text)` says what is wrong. */
  constructor(form, { api, user, send, refuse }) {
    Object.assign(this, { form, api, user, send, refuse });
    this.input = form.querySelector("[name=file]");
    this.list = form.querySelector(".files-waiting");
    if (!this.input) return;
    this.input.multiple = true;
    this.input.addEventListener("change", () => {
      this.add(this.input.files);
      this.input.value = "";
    });
    form.addEventListener("paste", (event) => this.#dropped(event, event.clipboardData));
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => this.#dragged(event));
    // Before the composer: it sends texts.
    form.addEventListener("submit", (event) => this.#submit(event), { capture: true });
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
    const ids = this.#items.flatMap(({ file }) => file?.id ?? []);
    for (const item of this.#items) item.row.remove();
    this.#items = [];
    this.#need();
    return ids.length ? { ...message, files: ids } : message;
  }

  async #begin(file) {
    const control = new AbortController();
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("bdi"), { textContent: file.name });
    const state = Object.assign(document.createElement("span"), { className: "size", textContent: sizeOf(file.size) });
    const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
    bar.setAttribute("aria-label", file.name);
    const cancel = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
    cancel.setAttribute("aria-label", `Remove ${file.name}`);
    row.append(name, state, bar, cancel);
    const item = { row, control, file: null };
    cancel.addEventListener("click", () => this.#remove(item));
    this.#items.push(item);
    this.list.append(row);
    this.#need();
    const progress = (part) => {
      bar.value = part;
    };
    try {
      item.file = await upload(this.api, file, { signal: control.signal, progress });
      bar.remove();
    } catch (error) {
      if (control.signal.aborted) return;
      bar.remove();
      item.failed = true;
      state.textContent = reasonOf(error);
      row.classList.add("refused");
    }
  }

  #remove(item) {
    item.control.abort();
    item.row.remove();
    this.#items = this.#items.filter((each) => each !== item);
    if (item.file) this.api.fetch(`${this.api.base}/files/${item.file.id}`, { method: "DELETE" }).catch(() => {});
    this.#need();
    this.form.elements.message.focus();
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
    if (!this.#items.length) return;
    const stop = () => {
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    if (this.#items.some(({ file, failed }) => !file && !failed)) {
      stop();
      this.refuse("Your files are still on their way. Send when they are here, or remove them.");
    } else if (!this.form.elements.message.value.trim() && this.user() && this.#items.some(({ file }) => file)) {
      stop();
      this.refuse();
      this.send({ user: this.user(), message: "" });
    }
  }
}
