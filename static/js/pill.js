// The state of the connection in a few words; a click tells more.

const NAMES = { websocket: "WebSocket", "long-poll": "long poll", "short-poll": "short poll" };

const stateText = ({ state, transport }) =>
  ({
    live: `Live by ${NAMES[transport]}`,
    waiting: "Connection lost, reconnecting",
    offline: "Offline",
    checking: "Checking the connection",
    stopped: "Loading anew",
  })[state] ?? "";

/** `waiting` is how much is unsent. Pure, for the test. */
export function pillText({ state, transport, seq, retryIn = 0 }, waiting = 0) {
  const name = NAMES[transport] ?? transport;
  const unsent = waiting ? ` · ${waiting} waiting` : "";
  switch (state) {
    case "live":
      return `Live · ${name} · complete to #${seq}${unsent}`;
    case "waiting":
      return `Reconnecting in ${Math.max(1, Math.ceil(retryIn / 1000))} s · ${name}${unsent}`;
    case "checking":
      return `Checking… · ${name}${unsent}`;
    case "offline":
      return `Offline${unsent}`;
    case "stopped":
      return `Loading anew${unsent}`;
    default:
      return `Connecting · ${name}${unsent}`;
  }
}

export class Pill {
  #status = { state: "connecting", transport: "", seq: 0 };
  #changes = 0;
  #open = false;
  #timer = null;

  /** `told` is what screen readers hear: the state alone, since numbers change with every message. */
  constructor(button, diagnosis, { wake, waiting, told }) {
    Object.assign(this, { button, diagnosis, waiting, told });
    button.addEventListener("click", wake);
    diagnosis.addEventListener("beforetoggle", ({ newState }) => {
      this.#open = newState === "open";
      this.show();
    });
  }

  show(status = this.#status) {
    if (status.state !== this.#status.state) {
      this.#changes += 1;
      this.told.textContent = stateText(status);
      this.#countDown(status);
    }
    this.#status = status;
    const text = pillText(status, this.waiting());
    const label = this.button.querySelector(".pill-text");
    this.button.dataset.state = status.state;
    if (label.textContent !== text) label.textContent = text;
    if (this.#open) this.#diagnose(status);
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

  #diagnose({ state, transport, cursor, reason = "–" }) {
    const facts = {
      State: state,
      Transport: NAMES[transport] ?? "–",
      Cursor: cursor,
      "Last trouble": reason,
      "Changes of state": this.#changes,
      Unsent: this.waiting(),
    };
    this.diagnosis.replaceChildren(
      ...Object.entries(facts).flatMap(([name, value]) => [text("dt", name), text("dd", value)]),
    );
  }
}

function text(name, value) {
  const element = document.createElement(name);
  element.textContent = value;
  return element;
}
