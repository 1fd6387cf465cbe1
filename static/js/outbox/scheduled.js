// This person's messages that wait for their time, and those that were refused when it came.
import { dayAndTime } from "../page/dates.js";
import { inOrder } from "../page/direction.js";

const REASONS = { conflict: "somebody else has the name" };

export class Scheduled {
  /** `refresh()` asks for them anew. */
  constructor(element, { outbox, refresh }) {
    Object.assign(this, { element, outbox, refresh, list: element.querySelector("ul") });
  }

  show(all) {
    const waiting = all.filter((item) => item.state !== "refused");
    const refused = all.length - waiting.length;
    this.element.hidden = all.length === 0;
    this.element.querySelector("#scheduled-count").textContent =
      `${waiting.length} scheduled` + (refused ? `, ${refused} not sent` : "");
    this.list.replaceChildren(...all.map((item) => this.#row(item)));
    this.#comeBack(waiting);
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
    text.textContent = inOrder(typeof message === "string" ? message : message.message);
    const refused = state === "refused";
    if (refused) time.append(` not sent: ${REASONS[code] ?? code}`);
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.textContent = refused ? "Dismiss" : "Cancel";
    cancel.disabled = Boolean(this.outbox.wanted("cancel-scheduled", id));
    cancel.addEventListener("click", () => {
      cancel.disabled = true;
      this.outbox.add({ command: "cancel-scheduled", scheduled: { id } });
    });
    row.append(time, text, cancel);
    return row;
  }
}
