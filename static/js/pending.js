// The rows of the outbox: on their way, or refused with a choice.
import { blank, showMessage } from "./message.js";

export class Pending {
  constructor(element, outbox, api) {
    Object.assign(this, { element, outbox, api });
    for (const item of outbox.items) this.#show(item);
    outbox.addEventListener("changed", ({ detail: { item, was } }) => this.#show(item, was));
  }

  /** Takes a row away: its event is in the log now. */
  remove(id) {
    this.#row(id)?.remove();
  }
  get ids() {
    return [...this.element.children].map((row) => row.dataset.clientId);
  }

  #row(id) {
    return [...this.element.children].find((row) => row.dataset.clientId === id);
  }

  #show(item, was = null) {
    const row = this.#row(was ?? item.client_id) ?? this.element.appendChild(blank());
    row.dataset.clientId = item.client_id;
    row.dataset.state = item.state;
    showMessage(row, { user: item.message.user, message: item.message.message, color: item.message.color });
    row.querySelector(".byline .time").textContent = item.message.send_at ? "scheduling…" : "sending…";
    row.querySelector(".feet").hidden = item.state !== "failed";
    if (item.state === "failed") this.#offer(row, item);
  }

  #offer(row, { client_id: id, reason }) {
    const choice = (label, act) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", act);
      return button;
    };
    row.querySelector(".byline .time").textContent = "not sent";
    const why = document.createElement("span");
    why.className = "why";
    why.textContent = reason;
    row.querySelector(".feet").replaceChildren(
      why,
      choice("Retry", () => this.outbox.retry(id)),
      choice("Discard", () => {
        this.outbox.discard(id);
        this.remove(id);
      }),
    );
  }
}
