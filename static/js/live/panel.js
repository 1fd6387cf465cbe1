// What the connection is and does, for those who open its panel. Loaded a moment after the page.
import { copy } from "../page/copy.js";
import { save } from "../page/store.js";

export class Panel {
  #cursor = "";

  /** `url` is the room's; `tell` says a few words. */
  constructor(element, { url, tell }) {
    this.element = element;
    element.querySelector("#copy-reader").addEventListener("click", async () => {
      const line = `curl -N -H 'Accept: application/x-ndjson' '${url}/events?after=${this.#cursor}'`;
      tell((await copy(line)) ? "Copied: a curl line that reads on from here." : `Copy this line: ${line}`);
    });
    // Beside each message the number of its event, for those who want to see the log at work.
    element.querySelector("#event-numbers").addEventListener("change", ({ target }) => {
      save("event-numbers", target.checked);
      document.documentElement.classList.toggle("numbers", target.checked);
    });
  }

  show({ seq, cursor, reason = "–" }, { words, waiting, changes }) {
    this.#cursor = cursor;
    const facts = {
      "Complete to": `event ${seq}`,
      Cursor: cursor,
      Unsent: waiting,
      "Last trouble": reason,
      "Changes of state": changes,
    };
    this.element.querySelector(".panel-line").textContent = words;
    this.element
      .querySelector("dl")
      .replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [text("dt", name), text("dd", value)]));
  }
}

function text(name, value) {
  const element = document.createElement(name);
  element.textContent = value;
  return element;
}
