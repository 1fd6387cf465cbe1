// This person's messages that wait for their time, and those that were refused when it came.
import { dayAndTime } from "../page/dates.js";
import { keepFocus } from "../page/focus.js";
import { inOrder } from "../page/direction.js";
import { atEnd } from "../page/life.js";

/** Why one was refused when it was due, by the code of the problem; /me says the same. */
const REASONS = {
  conflict: "the room is archived, or somebody else has the name",
  forbidden: "you were not allowed to write there",
  invalid: "a file of it is not there any more",
  "room-unknown": "the room is not there for you any more",
  unauthenticated: "your account was banned then",
};

export class Scheduled {
  /** `refresh()` asks for them anew; `edit(message)` takes one back into the field, and answers if it could;
   *  `freed()` is called if what had the focus is gone. */
  constructor(element, { outbox, refresh, edit, freed, life }) {
    Object.assign(this, { element, outbox, refresh, edit, freed, list: element.querySelector("ul") });
    atEnd(life, () => clearTimeout(this.timer));
  }

  show(all) {
    const waiting = all.filter((item) => item.state !== "refused");
    const refused = all.length - waiting.length;
    this.element.querySelector("#scheduled-count").textContent =
      `${waiting.length} scheduled` + (refused ? `, ${refused} not sent` : "");
    const show = () => {
      this.element.hidden = all.length === 0;
      this.list.replaceChildren(...all.map((item) => this.#row(item)));
    };
    keepFocus(show, () => (all.length ? this.#summary.focus() : this.freed()));
    this.#comeBack(waiting);
  }

  get #summary() {
    return this.element.querySelector("summary");
  }

  /** The message itself arrives as an event; the tray only has to forget it. */
  #comeBack(waiting) {
    clearTimeout(this.timer);
    const next = Math.min(...waiting.map((item) => new Date(item.send_at) - Date.now()));
    if (waiting.length) this.timer = setTimeout(() => this.refresh(), Math.min(Math.max(next, 0) + 1_500, 3_600_000));
  }

  #row({ id, send_at: at, message, state, code }) {
    const row = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = at;
    time.textContent = dayAndTime(new Date(at));
    const text = document.createElement("span");
    text.dir = "auto";
    text.textContent = inOrder(message.message);
    const refused = state === "refused";
    if (refused) time.append(` not sent: ${REASONS[code] ?? code}`);
    const cancel = this.#button(refused ? "Dismiss" : "Cancel", () => this.#cancel(row, id));
    row.append(time, text, cancel);
    // A file goes with the message that it was sent with.
    if (!message.files) {
      const taken = { ...message, ...(refused ? { send_at: "" } : { send_at: at, instead: id }) };
      cancel.before(this.#button("Edit", () => this.edit(taken) && this.#cancel(row, id)));
    }
    if (this.outbox.wanted("cancel-scheduled", id)) this.#disable(row);
    return row;
  }

  #button(label, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", act);
    return button;
  }

  #cancel(row, id) {
    // What is disabled has no focus.
    if (row.contains(document.activeElement)) this.#summary.focus();
    this.#disable(row);
    this.outbox.add({ command: "cancel-scheduled", scheduled: { id } });
  }

  #disable(row) {
    for (const button of row.querySelectorAll("button")) button.disabled = true;
  }
}
