// This person's messages that wait for their time.
import { dayAndTime } from "./dates.js";

export class Scheduled {
  constructor(element, { api, insist, tell }) {
    Object.assign(this, { element, api, insist, tell, list: element.querySelector("ul") });
  }

  /** Asks the server what waits; shows nothing where it cannot be asked. */
  async refresh() {
    const answer = await this.api.request("GET", `${this.api.roomUrl}/scheduled`).catch(() => ({ scheduled: [] }));
    const waiting = answer.scheduled ?? [];
    this.element.hidden = waiting.length === 0;
    this.element.querySelector("#scheduled-count").textContent = `${waiting.length} scheduled`;
    this.list.replaceChildren(...waiting.map((item) => this.#row(item)));
    this.#comeBack(waiting);
  }

  /** The message itself arrives as an event; the tray only has to forget it. */
  #comeBack(waiting) {
    clearTimeout(this.timer);
    const next = Math.min(...waiting.map((item) => new Date(item.send_at) - Date.now()));
    if (waiting.length) this.timer = setTimeout(() => this.refresh(), Math.min(Math.max(next, 0) + 1_500, 3_600_000));
  }

  #row({ id, send_at: at, message }) {
    const row = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = at;
    time.textContent = dayAndTime(new Date(at));
    const text = document.createElement("span");
    text.dir = "auto";
    text.textContent = typeof message === "string" ? message : message.message;
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.textContent = "Cancel";
    cancel.addEventListener("click", () => this.#cancel(id));
    row.append(time, text, cancel);
    return row;
  }

  async #cancel(id) {
    try {
      await this.insist({ command: "cancel-scheduled", scheduled: { id } });
    } catch (error) {
      this.tell(error.message);
    }
    this.refresh();
  }
}
