// The form in which a person says what the files of a message show, after it was sent. Loaded when it is asked for.
import { tooLong } from "../composer/lengths.js";
import { inOrder } from "../page/direction.js";
import { atEnd } from "../page/life.js";

const MOST_ALT = 500;
const LABEL = "What the files show";

/** What is to be sent; null if nothing was changed. `said` are texts in the order of `files`. Pure. */
export function changed(files, said) {
  const clean = said.map((text) => text.trim().replace(/\s+/g, " "));
  if (files.every(({ alt = "" }, at) => alt === clean[at])) return null;
  return files.map(({ id }, at) => (clean[at] ? { id, alt: clean[at] } : { id }));
}

export class Describer {
  #done = () => {};

  /** `log` has the addresses of files. */
  constructor(log, life) {
    this.log = log;
    this.form = made("form", { method: "dialog" });
    this.rows = made("div");
    const buttons = made("p");
    this.form.append(made("h2", { textContent: LABEL }), this.rows, buttons);
    buttons.append(
      made("button", { className: "primary", value: "save", textContent: "Save" }),
      made("button", { value: "", textContent: "Cancel", formNoValidate: true }),
    );
    this.dialog = made("dialog", { className: "describe" });
    this.dialog.setAttribute("aria-label", LABEL);
    this.dialog.append(this.form);
    this.dialog.addEventListener("close", () => this.#done(this.dialog.returnValue === "save"));
    document.body.append(this.dialog);
    atEnd(life, () => this.dialog.remove());
  }

  /** Resolves to files with descriptions, or null. `waiting` are those that the server has not answered yet. */
  ask(files, waiting = []) {
    this.#done(false);
    const now = files.map((file) => {
      const { alt } = waiting.find(({ id }) => id === file.id) ?? file;
      return { ...file, alt: alt ?? "" };
    });
    this.rows.replaceChildren(...now.map((file) => this.#row(file)));
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.form.querySelector("input").focus();
    return new Promise((resolve) => {
      this.#done = (saved) => {
        this.#done = () => {};
        resolve(
          saved
            ? changed(
                now,
                [...this.form.querySelectorAll("input")].map(({ value }) => value),
              )
            : null,
        );
      };
    });
  }

  #row({ id, name, alt, thumb }) {
    const label = made("label");
    const { at } = this.log.querySelector(".files").dataset;
    if (thumb) label.append(made("img", { src: `${at}${id}/thumb`, alt: "", height: 64 }));
    const input = made("input", {
      type: "text",
      value: alt,
      placeholder: "What it shows",
      dir: "auto",
    });
    input.addEventListener("input", () =>
      input.setCustomValidity(tooLong(input.value.trim(), MOST_ALT, "The description")),
    );
    label.append(made("bdi", { textContent: inOrder(name) }), input);
    return label;
  }
}

const made = (kind, about = {}) => Object.assign(document.createElement(kind), about);
