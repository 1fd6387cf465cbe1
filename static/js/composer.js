// The form that people write in: its draft, its keys, what it answers to or edits.
import { mark } from "./markup.js";
import { load, save } from "./store.js";

const MARKS = { b: "**", i: "*", u: "__" };

export class Composer {
  #context = null; // {kind: "reply" | "edit", message}

  /** `send(message)` takes a new message on, `edit(id, text)` a changed one, `editLast()` is Up. */
  constructor(form, { room, send, edit, editLast }) {
    Object.assign(this, { form, send, edit, editLast, key: `draft:${room}` });
    this.field = form.elements.message;
    this.#remember();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener("keydown", (event) => this.#pressed(event));
    form.addEventListener("click", ({ target }) => {
      const sign = target.closest("[data-mark]")?.dataset.mark;
      if (sign) mark(this.field, sign);
    });
    form.querySelector("#cancel-context").addEventListener("click", () => this.leave());
  }

  get user() {
    return this.form.elements.user.value;
  }
  get text() {
    return this.field.value;
  }

  reply(message) {
    this.leave();
    this.#enter("reply", message, `Answering ${message.user}:`);
  }

  change(message) {
    this.leave();
    this.#enter("edit", message, "Editing:");
    this.field.value = message.message;
    this.field.setSelectionRange(message.message.length, message.message.length);
  }

  /** Back to writing a new message. The draft that an edit put aside returns. */
  leave() {
    if (this.#context?.kind === "edit") this.field.value = load(this.key, "");
    this.#context = null;
    this.form.querySelector("#context").hidden = true;
    this.form.querySelector(".context-text").textContent = "";
    this.form.elements.reply_to.value = "";
  }

  /** A message was deleted: it is not edited any more, and its words stand nowhere. */
  gone(id) {
    if (this.#context?.message.id === id) this.leave();
  }

  /** Says why something was refused; no text takes it away. */
  refuse(text = "") {
    const place = this.form.querySelector("#refusal");
    place.textContent = text;
    place.hidden = !text;
  }

  #enter(kind, message, what) {
    this.#context = { kind, message };
    const context = this.form.querySelector("#context");
    context.hidden = false;
    context.querySelector(".context-what").textContent = what;
    context.querySelector(".context-text").textContent = message.message.slice(0, 120);
    this.field.focus();
  }

  #submit() {
    const text = this.field.value;
    if (!text.trim()) return;
    this.refuse();
    const context = this.#context;
    if (context?.kind === "edit") {
      this.leave();
      this.edit(context.message.id, text);
      return;
    }
    const { user, color, send_at: sendAt } = this.form.elements;
    const message = { user: user.value.trim(), message: text };
    if (color.value) message.color = color.value;
    if (context) message.reply_to = context.message.id;
    if (sendAt.value) message.send_at = this.#moment(sendAt.value);
    this.field.value = "";
    sendAt.value = "";
    sendAt.dispatchEvent(new Event("change"));
    this.leave();
    // The outbox keeps the text from here on, through reloads too.
    this.send(message);
    save(this.key, null);
    this.field.focus();
  }

  #moment(choice) {
    const at = this.form.querySelector("#at-time input").value;
    return choice === "at" ? new Date(at).toISOString() : choice;
  }

  #pressed(event) {
    const { key, target } = event;
    // Enter also ends the composition of a word in Japanese, Chinese, Korean.
    if (event.isComposing || event.keyCode === 229) return;
    const command = event.ctrlKey || event.metaKey;
    const touch = matchMedia("(pointer: coarse)").matches;
    if (key === "Escape") return this.leave();
    if (target !== this.field) return undefined;
    if (key === "Enter" && !event.shiftKey && (command || !touch)) {
      event.preventDefault();
      return this.form.requestSubmit();
    }
    if (command && !event.altKey && !event.shiftKey && MARKS[key.toLowerCase()]) {
      event.preventDefault();
      return mark(this.field, MARKS[key.toLowerCase()]);
    }
    if (key === "ArrowUp" && this.field.value === "") {
      event.preventDefault();
      return this.editLast();
    }
    return undefined;
  }

  /** A moment of one's own needs the viewer's zone, so only the script offers it. */
  #offerTime() {
    const { send_at: choice } = this.form.elements;
    const place = this.form.querySelector("#at-time");
    choice.add(new Option("at …", "at"));
    choice.addEventListener("change", () => {
      place.hidden = choice.value !== "at";
      const [input] = place.children;
      input.required = !place.hidden;
      if (place.hidden || input.value) return;
      const soon = new Date(Date.now() + 3_600_000 - new Date().getTimezoneOffset() * 60_000);
      input.value = soon.toISOString().slice(0, 16);
    });
  }

  #remember() {
    const { user, color } = this.form.elements;
    user.value ||= load("user", "");
    color.value ||= load("color", "");
    this.field.value ||= load(this.key, "");
    const tint = () => {
      this.field.className = color.value ? `color-${color.value}` : "";
    };
    tint();
    this.#offerTime();
    user.addEventListener("change", () => save("user", user.value));
    color.addEventListener("change", () => {
      save("color", color.value);
      tint();
    });
    this.field.addEventListener("input", () => this.#context?.kind === "edit" || save(this.key, this.field.value));
  }
}
