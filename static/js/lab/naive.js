// A reader as tutorials have it: GET what there is, then listen for what comes. It keeps no cursor, so what is sent
// while it does not listen is lost to it. Here to be compared; do not copy it.

const AGAIN = 500; // ms between two attempts

export class NaiveReader extends EventTarget {
  state = "connecting";
  transport = "websocket";
  #socket = null;
  #timer = null;

  constructor({ api, base, room, origin = globalThis.location?.origin, WebSocket }) {
    super();
    Object.assign(this, { room, WebSocket });
    this.url = new URL(`${base}/ws`, origin);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    this.url.search = new URLSearchParams({ room, after: "now" });
    // The history, once. Whatever is sent from here until the socket is open is in neither.
    this.history = api.snapshot(50).catch(() => null);
    this.history.then(() => this.#listen());
  }

  #listen() {
    if (this.state === "closed") return;
    clearTimeout(this.#timer);
    const socket = (this.#socket = new this.WebSocket(this.url));
    socket.onmessage = ({ data }) => {
      const envelope = JSON.parse(data);
      if (envelope.command === "caught-up") this.#status("live");
      else if (typeof envelope.seq === "number" && envelope.command !== "ack") {
        this.dispatchEvent(new CustomEvent("event", { detail: envelope }));
      }
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#status("waiting");
      this.#timer = setTimeout(() => this.#listen(), AGAIN);
    };
  }

  #status(state) {
    if (this.state === "closed") return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("status", { detail: { state, transport: this.transport } }));
  }

  /** The network is back: it tries again at once, as the others do. */
  wake() {
    if (this.state === "waiting" && !this.#socket) this.#listen();
  }

  close() {
    this.#status("closed");
    clearTimeout(this.#timer);
    if (this.#socket) this.#socket.onclose = null;
    this.#socket?.close();
  }
}
