// The form that people write in: its keys, its draft, and what it answers to, edits or mends.
import { inOrder } from "./direction.js";
import { replaceAll } from "./fields.js";
import { watchLengths } from "./lengths.js";
import { mark } from "./markup.js";
import { load, save } from "./store.js";
import { TimeField } from "./time_field.js";

const MARKS = { b: "**", i: "*", u: "__" };
const WORDS = { reply: ({ user }) => `Answering ${user}:`, edit: () => "Editing:", mend: () => "Not sent yet:" };

export class Composer {
  #about = null; // {kind: "reply" | "edit" | "mend", id, user, was}; of a reply or an edit the message's id
  #aside = ""; // the new message that waits while another text is in the field
  #time;
  #left = {}; // changed texts of edits that were left: id → text

  /** `send(message)` takes a new message on, `edit(id, text)` a changed one, `mend(id, message)` a refused one;
   *  `message(id)` is what the page shows, `refused(id)` what the outbox keeps; `editLast()` is Up. */
  constructor(form, { drafts, send, edit, mend, editLast, message, refused, tell }) {
    Object.assign(this, { form, drafts, send, edit, mend, editLast, message, refused, tell });
    this.field = form.elements.message;
    this.#time = new TimeField(form.querySelector("#at-time input"), form.querySelector("#at-offset"));
    this.#rememberSigns();
    this.#offerTime();
    this.#resume(drafts.load());
    this.#keep();
    this.#checkLengths = watchLengths(form);
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
    this.field.addEventListener("input", ({ inputType }) => this.#typed(inputType));
    // Another tab may have taken up what this one keeps for the next.
    addEventListener("pagehide", () => this.#keep());
  }
  #checkLengths = () => {};

  get user() {
    return this.form.elements.user.value.trim();
  }
  get text() {
    return this.field.value;
  }
  /** True if nothing stands here that another text would push aside. */
  get isFree() {
    return !this.#about && !this.text;
  }

  reply({ id, user, message }) {
    this.leave();
    this.#enter({ kind: "reply", id, user }, message);
    this.field.focus();
    this.#keep();
  }

  /** Begins an edit, or goes on with one that was left. `text` is the newest that is known. */
  change({ id, message }, text = message) {
    this.leave();
    this.#put({ kind: "edit", id, was: text }, message, this.#left[id] ?? text);
  }

  /** Shows a refused message in its fields, the cursor in the one that was refused. */
  correct({ client_id: id, envelope: { message }, field }) {
    this.leave();
    this.#put({ kind: "mend", id, was: message.message }, "", this.#left[id] ?? message.message);
    const { user, color, send_at: sendAt } = this.form.elements;
    color.value = message.color ?? "";
    this.#showMoment(message.send_at);
    const wrong = { user, send_at: sendAt.value === "at" ? this.#time.input : sendAt }[field?.split(".").at(-1)];
    wrong?.focus();
    if (wrong === user) user.select();
  }

  /** Back to the new message. What was changed is kept, and there again when it is edited again. */
  leave() {
    const about = this.#about;
    if (!about) return;
    const text = this.text;
    this.#exit();
    this.refuse();
    if (about.kind === "reply") return this.#keep();
    const changed = text.trim() && text !== about.was;
    if (changed) this.#left[about.id] = text;
    else delete this.#left[about.id];
    replaceAll(this.field, this.#aside);
    this.#aside = "";
    this.#keep();
    if (changed) this.tell("Your change is kept until you edit again.");
    return undefined;
  }

  /** A message was deleted, or a refused one discarded: its words stand nowhere, the undo history included. */
  gone(id) {
    delete this.#left[id];
    if (this.#about?.id === id) {
      if (this.#about.kind !== "reply") this.field.value = this.#aside;
      this.#aside = "";
      this.#exit();
      this.#checkLengths();
    }
    this.#keep();
  }

  /** Says why something was refused; no text takes it away. */
  refuse(text = "") {
    const place = this.form.querySelector("#refusal");
    place.textContent = text;
    place.hidden = !text;
  }

  /** Puts a text that exists already into the field, and the new message aside. */
  #put(about, shown, text) {
    this.#aside = this.text;
    this.#enter(about, shown);
    replaceAll(this.field, text);
    this.field.focus();
    this.field.setSelectionRange(text.length, text.length);
    this.#keep();
  }

  #enter(about, shown = "") {
    this.#about = about;
    this.form.querySelector("#context").hidden = false;
    this.form.querySelector(".context-what").textContent = WORDS[about.kind](about);
    this.form.querySelector(".context-text").textContent = inOrder(shown);
  }

  #exit() {
    this.#about = null;
    this.form.querySelector("#context").hidden = true;
    this.form.querySelector(".context-text").textContent = "";
    this.form.elements.reply_to.value = "";
  }

  #typed(inputType) {
    // Everything is undone, the beginning of the edit too.
    const about = this.#about;
    if (inputType === "historyUndo" && about && about.kind !== "reply" && this.text === this.#aside) {
      this.#exit();
      this.#aside = "";
    }
    this.#keep();
  }

  #submit() {
    const text = this.text;
    if (!text.trim()) return;
    this.refuse();
    const about = this.#about;
    const message = this.#message(text);
    this.#exit();
    if (about) delete this.#left[about.id];
    if (about?.kind === "edit") this.edit(about.id, text);
    else if (about?.kind === "mend") this.mend(about.id, message);
    else this.send(about ? { ...message, reply_to: about.id } : message);
    // The outbox keeps the text from here on, through reloads too.
    this.field.value = this.#aside;
    this.#aside = "";
    if (about?.kind !== "edit") this.#showMoment();
    this.#keep();
    this.#checkLengths();
    this.field.focus();
  }

  #message(text) {
    const { color, send_at: sendAt } = this.form.elements;
    const message = { user: this.user, message: text };
    if (color.value) message.color = color.value;
    if (sendAt.value === "at") message.send_at = new Date(this.#time.moment).toISOString();
    else if (sendAt.value) message.send_at = sendAt.value;
    return message;
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
    if (key === "ArrowUp" && !this.text) {
      event.preventDefault();
      return this.editLast();
    }
    return undefined;
  }

  /** A moment of one's own needs the viewer's zone, so only the script offers it. */
  #offerTime() {
    const { send_at: choice } = this.form.elements;
    choice.add(new Option("at …", "at"));
    choice.addEventListener("change", () => {
      const place = this.form.querySelector("#at-time");
      place.hidden = choice.value !== "at";
      this.#time.input.required = !place.hidden;
      if (!place.hidden && !this.#time.input.value) this.#time.moment = Date.now() + 3_600_000;
    });
  }

  /** Chooses when to send: a time, a choice such as "+10m", or now. */
  #showMoment(moment = "") {
    const { send_at: choice } = this.form.elements;
    const offered = [...choice.options].some(({ value }) => value === moment);
    if (!offered) this.#time.moment = new Date(moment).getTime();
    choice.value = offered ? moment : "at";
    choice.dispatchEvent(new Event("change"));
  }

  #rememberSigns() {
    const { user, color } = this.form.elements;
    user.value ||= load("user", "");
    color.value ||= load("color", "");
    const tint = () => {
      this.field.className = color.value ? `color-${color.value}` : "";
    };
    tint();
    user.addEventListener("change", () => save("user", user.value));
    color.addEventListener("change", () => {
      save("color", color.value);
      tint();
    });
  }

  #keep() {
    const left = Object.keys(this.#left).length > 0;
    const empty = this.isFree && !left;
    // Of what is answered or edited the draft has the number only: it may be deleted meanwhile.
    const about = this.#about && { kind: this.#about.kind, id: this.#about.id, user: this.#about.user };
    this.drafts.save(empty ? null : { text: this.text, about, aside: this.#aside, left: this.#left });
  }

  /** Goes on where the page before was. */
  #resume({ text = "", about = null, aside = "", left = {} }) {
    const deleted = (id) => this.message(id)?.deleted;
    this.#left = Object.fromEntries(Object.entries(left).filter(([id]) => !deleted(id)));
    const lost = about && about.kind !== "mend" && deleted(about.id);
    if (!about || (lost && about.kind === "reply") || (about.kind === "mend" && !this.refused(about.id))) {
      this.field.value ||= text || aside;
    } else if (lost) {
      this.field.value ||= aside;
    } else {
      this.field.value = text;
      this.#aside = aside;
      this.#enter(about, this.message(about.id)?.message);
    }
  }
}
