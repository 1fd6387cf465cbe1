// One reader of the lab: a connection over one transport, its clock and its costs.
import { Api } from "../api.js";
import { connect } from "../client.js";
import { frameBytes, since } from "./stats.js";

const sleep = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

export class Arm {
  latencies = [];
  points = []; // [number of the probe, ms]
  repeated = 0;
  #counted = { requests: 0, in: 0, out: 0, at: 0 }; // `at`: when the last answer or frame came
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
      WebSocket: delayed(delay, (way, data) => this.#frame(way, data)),
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
    try {
      await sleep(this.delay());
      const answer = await fetch(`${url}&measure=1`, options);
      const bytes = /in=(\d+), out=(\d+)/.exec(answer.headers.get("Quotechat-Bytes") ?? "");
      this.#counted.in += Number(bytes?.[1] ?? 0);
      this.#counted.out += Number(bytes?.[2] ?? 0);
      await sleep(this.delay());
      return answer;
    } finally {
      // At its end: a request that is still held has cost a part only.
      this.#counted.requests += 1;
      this.#counted.at = performance.now();
    }
  }

  #frame(way, data) {
    this.#counted[way] += frameBytes(data, { masked: way === "in" });
    if (way === "out") this.#counted.at = performance.now();
  }

  /** Requests and bytes until the last answer or frame, and when that came. */
  get counted() {
    return { ...this.#counted };
  }

  /** What it costs from one `counted` to now. */
  cost(before) {
    return since(before, this.counted);
  }

  close() {
    this.connection.close();
  }
}

/** A WebSocket over a slower network. `frame("in" or "out", data)` is called with each message, as the server sees it. */
function delayed(delay, frame) {
  return class extends WebSocket {
    #receive = null;
    set onmessage(receive) {
      this.#receive = receive;
      // Timers of one length keep their order.
      const heard = (event) => {
        frame("out", event.data);
        setTimeout(() => this.#receive?.(event), delay());
      };
      super.onmessage = receive && heard;
    }

    get onmessage() {
      return this.#receive;
    }

    send(data) {
      setTimeout(() => {
        if (this.readyState !== WebSocket.OPEN) return;
        super.send(data);
        frame("in", data);
      }, delay());
    }
  };
}
