// The form that people write in: its keys, its draft, and what it answers to, edits or mends.
import { dayAndTime } from "../page/dates.js";
import { inOrder } from "../page/direction.js";
import { isAnythingOpen, opensBeside } from "../entries/place.js";
import { composes, replace, replaceAll } from "./fields.js";
import { timeField } from "../later.js";
import { watchLengths } from "./lengths.js";
import { mark } from "./markup.js";
import { keepFocus } from "../page/focus.js";
import { Name } from "../person/name.js";
import { onLeaving } from "../page/life.js";
import { load, save } from "../page/store.js";

const MARKS = { b: "**", i: "*", u: "__" };
const WORDS = { reply: ({ user }) => `Answering ${user}:`, edit: () => "Editing:", mend: () => "Not sent yet:" };

export class Composer {
  #about = null; // {kind: "reply" | "edit" | "mend", id, user, was}; of a reply or an edit the message's id
  #aside = ""; // the new message that waits while another text is in the field
  #time;
  #left = {}; // changed texts of edits that were left: id → text
  #instead; // the id of the scheduled message that the new one is said instead of

  /** `send(message, instead)` takes a new message on, `edit(id, text)` a changed one, `mend(id, message)` a refused one;
   *  `message(id)` is what the page shows, `article(id)` where; `refused(id)` what the outbox keeps; `editLast()` is Up.
   *  `hasFiles()` is true if a new message may be without a text. */
  constructor(form, { drafts, send, edit, mend, editLast, message, article, refused, hasFiles, tell, life }) {
    Object.assign(this, { form, drafts, send, edit, mend, editLast, message, article, refused, hasFiles, tell });
    this.home = form.parentElement;
    this.field = form.elements.message;
    this.#time = timeField(form.querySelector("#at-time input"), form.querySelector("#at-offset"));
    this.#rememberColor();
    this.#offerTime();
    const draft = drafts.load();
    this.#resume(draft);
    if (draft.moment) this.#showMoment(draft.moment);
    this.name = new Name(form, { isEmpty: () => !this.text, joined: () => this.field.focus() });
    this.#keep();
    this.#checkLengths = watchLengths(form);
    // Whatever is wrong is said beside its field; a browser's bubble would lie over the text.
    form.noValidate = true;
    for (const popover of form.querySelectorAll("[popover]")) opensBeside(popover, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener("keydown", (event) => this.#pressed(event));
    form.addEventListener("click", ({ target }) => {
      const sign = target.closest("[data-mark]")?.dataset.mark;
      if (sign) mark(this.field, sign);
    });
    const cancels = () =>
      keepFocus(
        () => this.leave(),
        () => this.focus(),
      );
    form.querySelector("#cancel-context").addEventListener("click", cancels);
    this.field.addEventListener("input", ({ inputType }) => this.#typed(inputType));
    // Another tab may have taken up what this one keeps for the next.
    onLeaving(life, () => this.#keep());
  }
  #checkLengths = () => {};

  get user() {
    return this.name.value;
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
    this.name.show();
    this.focus();
    this.#keep();
  }

  /** Takes up a message that was to be sent later, as if it was just being written; nothing else stands here. */
  take({ message, color, send_at: moment, reply_to: parent, instead }) {
    if (parent) this.#enter({ kind: "reply", id: parent, ...this.message(parent) }, this.message(parent)?.message);
    replaceAll(this.field, message);
    this.#choose(color, moment);
    this.#instead = instead;
    this.name.show();
    this.focus();
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
    this.#choose(message.color, message.send_at);
    const { send_at: sendAt } = this.form.elements;
    const wrong = field?.split(".").at(-1);
    if (wrong === "user") this.name.ask();
    if (wrong === "send_at") this.#show(sendAt.value === "at" ? this.#time.input : sendAt);
  }

  /** Where one goes on: the name if there is none yet, else the text. */
  focus() {
    (this.form.dataset.who === "first" ? this.form.elements.user : this.field).focus({ preventScroll: true });
  }

  /** Puts an emoji or a name where the cursor is. */
  insert(text) {
    replace(this.field, this.field.selectionStart, this.field.selectionEnd, text);
    this.#keep();
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
    this.name.show();
    this.field.focus();
    this.field.setSelectionRange(text.length, text.length);
    this.#keep();
  }

  /** One edits where the message stands; everything else is written below the log. Call it when articles come or go. */
  settle() {
    const { kind, id } = this.#about ?? {};
    const article = kind === "edit" ? this.article(id) : null;
    const place = article ?? this.home;
    this.form.querySelector("[type=submit]").setAttribute("aria-label", kind === "edit" ? "Save" : "Send");
    if (this.form.parentElement === place) return;
    const before = article?.querySelector(".edited") ?? null;
    // With `moveBefore` the focus stays, and what can be undone.
    if (place.moveBefore) place.moveBefore(this.form, before);
    else place.insertBefore(this.form, before);
  }

  #enter(about, shown = "") {
    this.#about = about;
    this.settle();
    this.form.querySelector("#context").hidden = false;
    this.form.querySelector(".context-what").textContent = WORDS[about.kind](about);
    this.form.querySelector(".context-text").textContent = inOrder(shown);
  }

  #exit() {
    this.#about = null;
    this.settle();
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
    const text = this.text.trim() && this.text;
    const about = this.#about;
    if (!(text || this.#withFiles(about)) || !this.#isReady()) return;
    this.refuse();
    this.name.take(this.name.value);
    const message = this.#message(text);
    this.#exit();
    if (about) delete this.#left[about.id];
    if (about?.kind === "edit") this.edit(about.id, text);
    else if (about?.kind === "mend") this.mend(about.id, message);
    else this.send(about ? { ...message, reply_to: about.id } : message, this.#instead);
    // The outbox keeps the text from here on, through reloads too.
    this.field.value = this.#aside;
    this.#aside = "";
    if (about?.kind !== "edit") this.#showMoment();
    this.#keep();
    this.#checkLengths();
    this.field.focus();
  }

  /** Whether what is sent needs no text: a new message has the files that are here, a refused one its own. */
  #withFiles(about) {
    if (about?.kind === "mend") return Boolean(this.refused(about.id)?.envelope.message.files);
    return about?.kind !== "edit" && this.hasFiles();
  }

  /** Whether all fields are right, but for a missing text; else it goes to the one that is not. */
  #isReady() {
    if (!this.name.value) {
      this.name.ask();
      return false;
    }
    const lacksText = (field) => field === this.field && field.validity.valueMissing;
    const isWrong = (field) => field.willValidate && !field.checkValidity() && !lacksText(field);
    const wrong = [...this.form.elements].find(isWrong);
    if (wrong) this.#show(wrong);
    return !wrong;
  }

  /** Goes to a field, wherever it is. */
  #show(field) {
    const popover = field.closest("[popover]");
    if (popover && !popover.matches(":popover-open")) popover.showPopover();
    if (field.name === "user") this.name.ask();
    field.focus();
  }

  #message(text) {
    const { color } = this.form.elements;
    const message = { user: this.user, message: text };
    if (color.value) message.color = color.value;
    if (this.#moment) message.send_at = this.#moment;
    return message;
  }

  /** When to send, as the server takes it; "" for at once. */
  get #moment() {
    const { value } = this.form.elements.send_at;
    if (value !== "at") return value;
    return Number.isNaN(this.#time.moment) ? "" : new Date(this.#time.moment).toISOString();
  }

  #choose(color = "", moment = "") {
    this.form.elements.color.value = color;
    this.#showMoment(moment);
  }

  #pressed(event) {
    const { key, target } = event;
    if (composes(event)) return;
    const command = event.ctrlKey || event.metaKey;
    const touch = matchMedia("(pointer: coarse)").matches;
    // It closes what is open, wherever the focus is: what opens a panel keeps it.
    if (key === "Escape") return isAnythingOpen() ? undefined : this.leave();
    if (target !== this.field) return undefined;
    if (key === "Enter" && !event.shiftKey && (command || !touch)) {
      event.preventDefault();
      return this.form.requestSubmit();
    }
    if (command && !event.altKey && !event.shiftKey && MARKS[key.toLowerCase()]) {
      event.preventDefault();
      return mark(this.field, MARKS[key.toLowerCase()]);
    }
    if (key === "ArrowUp" && !this.text && !command && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      return this.editLast();
    }
    return undefined;
  }

  /** A moment of one's own needs the viewer's zone, so only the script offers it. */
  #offerTime() {
    const { send_at: choice } = this.form.elements;
    choice.add(new Option("at …", "at"));
    const panel = this.form.querySelector("#when");
    choice.addEventListener("change", () => {
      const place = this.form.querySelector("#at-time");
      place.hidden = choice.value !== "at";
      this.#time.input.required = !place.hidden;
      if (!place.hidden && !this.#time.input.value) this.#time.moment = Date.now() + 3_600_000;
      this.#tellMoment();
    });
    this.#time.input.addEventListener("input", () => this.#tellMoment());
    this.form.querySelector("#when-done").addEventListener("click", () => {
      panel.hidePopover();
      this.field.focus();
    });
    this.form.querySelector("#not-later").addEventListener("click", () => {
      this.#showMoment();
      this.field.focus();
    });
  }

  /** What is not sent at once says so beside the field. */
  #tellMoment() {
    const { send_at: choice } = this.form.elements;
    const { moment } = this.#time;
    const told = choice.value !== "at" ? choice.selectedOptions[0]?.textContent : dayAndTime(new Date(moment));
    this.form.querySelector("#later").hidden = !choice.value || (choice.value === "at" && Number.isNaN(moment));
    this.form.querySelector("#later .later-text").textContent = this.form.querySelector("#later").hidden ? "" : told;
    this.#keep();
  }

  /** Chooses when to send: a time, a choice such as "+10m", or now. */
  #showMoment(moment = "") {
    const { send_at: choice } = this.form.elements;
    const offered = [...choice.options].some(({ value }) => value === moment);
    if (!offered) this.#time.moment = new Date(moment).getTime();
    choice.value = offered ? moment : "at";
    choice.dispatchEvent(new Event("change"));
  }

  #rememberColor() {
    const { color } = this.form.elements;
    color.value ||= load("color", "");
    const tint = () => {
      this.field.className = color.value ? `color-${color.value}` : "";
    };
    tint();
    color.addEventListener("change", () => {
      save("color", color.value);
      tint();
    });
  }

  #keep() {
    this.name?.show();
    const left = Object.keys(this.#left).length > 0;
    const empty = this.isFree && !left;
    if (this.isFree) this.#instead = undefined;
    // Of what is answered or edited the draft has the number only: it may be deleted meanwhile.
    const about = this.#about && { kind: this.#about.kind, id: this.#about.id, user: this.#about.user };
    const draft = {
      text: this.text,
      about,
      aside: this.#aside,
      left: this.#left,
      moment: this.#moment,
      instead: this.#instead,
    };
    this.drafts.save(empty ? null : draft);
  }

  /** Goes on where the page before was. */
  #resume({ text = "", about = null, aside = "", left = {}, instead }) {
    this.#instead = instead;
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
