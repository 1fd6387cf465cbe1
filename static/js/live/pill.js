// The state of the connection: a dot, and words only when something is wrong; its panel tells more.
const NAMES = { websocket: "WebSocket", "long-poll": "long poll", "short-poll": "short poll" };
const PATIENCE = 3_000; // ms in which a connection may be made without a word
const ENDED = { "room-unknown": "Not there any more", unauthenticated: "Signed out" };

/** Why nothing is read: for good, or until the new snapshot is here. */
const stoppedText = (problem) => ENDED[problem?.code] ?? "Loading anew";

const stateText = ({ state, transport, problem }) =>
  ({
    live: `Live by ${NAMES[transport]}`,
    waiting: "Connection lost, reconnecting",
    offline: "Offline",
    checking: "Checking the connection",
    stopped: stoppedText(problem),
  })[state] ?? "Connecting";

/** `waiting` is how much is unsent. Pure, for the test. */
export function pillText({ state, transport, retryIn = 0, problem }, waiting = 0) {
  const unsent = waiting ? `${waiting} waiting` : "";
  const words = {
    live: `Live · ${NAMES[transport] ?? transport}`,
    waiting: `Reconnecting in ${Math.max(1, Math.ceil(retryIn / 1000))} s`,
    checking: "Checking…",
    offline: "Offline",
    stopped: stoppedText(problem),
  };
  return [unsent, words[state] ?? "Connecting…"].filter(Boolean).join(" · ");
}

/** Whether all is well, so that a dot says enough. Pure, for the test. */
export const isQuiet = ({ state }, waiting, patient) =>
  !waiting && (state === "live" || (patient && state === "connecting"));

export class Pill {
  #status = { state: "connecting", transport: "", seq: 0 };
  #changes = 0;
  #open = false;
  #timer = null;
  #patient = true;

  /** `told` is what screen readers hear: the state alone. `facts()` resolves to what shows the rest in the panel. */
  constructor(button, panel, { wake, waiting, told, facts }) {
    Object.assign(this, { button, waiting, told, facts });
    button.addEventListener("click", wake);
    panel.addEventListener("beforetoggle", ({ newState }) => {
      this.#open = newState === "open";
      this.show();
    });
    setTimeout(() => {
      this.#patient = false;
      this.show();
    }, PATIENCE);
  }

  show(status = this.#status) {
    if (status.state !== this.#status.state) {
      this.#changes += 1;
      this.told.textContent = stateText(status);
      this.#countDown(status);
    }
    this.#status = status;
    const waiting = this.waiting();
    const text = pillText(status, waiting);
    const label = this.button.querySelector(".pill-text");
    this.button.dataset.state = status.state;
    this.button.toggleAttribute("data-quiet", isQuiet(status, waiting, this.#patient));
    if (label.textContent !== text) label.textContent = text;
    if (this.#open) this.#diagnose(waiting);
  }

  #countDown({ state, retryIn }) {
    clearInterval(this.#timer);
    const end = Date.now() + (retryIn ?? 0);
    if (state === "waiting")
      this.#timer = setInterval(() => this.show({ ...this.#status, retryIn: end - Date.now() }), 1_000);
  }

  /** An event came: the page is complete to here. */
  complete({ seq, cursor }) {
    this.show({ ...this.#status, seq, cursor });
  }

  async #diagnose(waiting) {
    const panel = await this.facts();
    panel.show(this.#status, { words: stateText(this.#status), waiting, changes: this.#changes });
  }
}
