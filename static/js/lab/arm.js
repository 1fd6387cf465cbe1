// One reader of the lab: a connection over one transport, its clock and its costs.
import { Api } from "../api.js";
import { connect } from "../client.js";
import { newId } from "../ids.js";
import { since } from "./stats.js";

const sleep = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

export class Arm {
  latencies = [];
  points = []; // [number of the probe, ms]
  repeated = 0;
  #counted = { requests: 0, in: 0, out: 0 };
  #seen = new Set();

  /** `delay()` is what the network is to add each way, in ms; `sentAt(clientId)` when a probe went, or undefined. */
  constructor({ name, transport, base, room, after, interval, delay, sentAt }) {
    Object.assign(this, { name, transport, delay, sentAt });
    const api = new Api({ base, room, fetch: (url, options) => this.#fetch(url, options) });
    this.connection = connect({
      base,
      room,
      api,
      after,
      interval,
      transports: [transport],
      locks: null,
      WebSocket: delayed(delay),
    });
    this.connection.addEventListener("event", ({ detail }) => this.#arrived(detail));
  }

  #arrived({ message }) {
    const sent = message && this.sentAt(message.client_id);
    if (!sent) return;
    if (this.#seen.has(message.client_id)) {
      this.repeated += 1;
      return;
    }
    this.#seen.add(message.client_id);
    const latency = performance.now() - sent.at;
    this.latencies.push(latency);
    this.points.push([sent.number, latency]);
  }

  async #fetch(url, options) {
    this.#counted.requests += 1;
    await sleep(this.delay());
    const answer = await fetch(`${url}&measure=1`, options);
    const bytes = /in=(\d+), out=(\d+)/.exec(answer.headers.get("Quotechat-Bytes") ?? "");
    this.#counted.in += Number(bytes?.[1] ?? 0);
    this.#counted.out += Number(bytes?.[2] ?? 0);
    await sleep(this.delay());
    return answer;
  }

  /** Requests and bytes so far. Of a socket the server is asked; a lost one takes its count with it. */
  async counted() {
    if (this.transport !== "websocket") return { ...this.#counted };
    if (!this.connection.canAsk) return { ...this.#counted };
    const { bytes } = await this.connection
      .ask({ command: "ping", measure: true, client_id: newId() })
      .catch(() => ({ bytes: null }));
    return bytes ? { requests: 0, in: bytes.in, out: bytes.out } : { ...this.#counted };
  }

  /** What it costs from one `counted` to now. */
  async cost(before) {
    return since(before, await this.counted());
  }

  close() {
    this.connection.close();
  }
}

/** A WebSocket over a slower network. */
function delayed(delay) {
  return class extends WebSocket {
    #receive = null;
    set onmessage(receive) {
      this.#receive = receive;
      // Timers of one length keep their order.
      super.onmessage = receive && ((event) => setTimeout(() => this.#receive?.(event), delay()));
    }

    get onmessage() {
      return this.#receive;
    }

    send(data) {
      setTimeout(() => this.readyState === WebSocket.OPEN && super.send(data), delay());
    }
  };
}
