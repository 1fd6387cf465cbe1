// One reader of the lab: a connection over one transport, its clock and its costs.
import { Api } from "../api.js";
import { connect } from "../client.js";
import { stream } from "../transports/stream.js";
import { Account } from "./ledger.js";
import { NaiveReader } from "./naive.js";
import { isStream } from "./network.js";
import { chunkBytes, frameBytes, isHeartbeat, PING, since } from "./stats.js";

const STREAMS = { ndjson: stream("ndjson"), sse: stream("sse") };

/**
 * Dispatches `arrived` ({id, latency}) of a probe, `asked` and `answered` ({events}) of a request, and `wire`
 * ({kind, …}) with what went over the network in full.
 */
export class Arm extends EventTarget {
  #counted = { requests: 0, in: 0, out: 0, at: 0 }; // `at`: when the last answer or frame came
  #silence = { out: 0, at: 0, began: 0 }; // heartbeats of a stream, the last, and when it was opened

  /** `network` is what lies between it and the server; `tabs` the lock and channel that it shares with other tabs. */
  constructor({ kind, base, room, after, interval, network, ledger, tabs = { locks: null } }) {
    super();
    Object.assign(this, { kind, network, account: new Account(ledger) });
    const api = new Api({ base, room, fetch: (url, options) => this.#fetch(url, options) });
    const WebSocket = network.socketClass((way, data) => this.#frame(way, data));
    this.connection =
      kind === "naive"
        ? new NaiveReader({ api, base, room, WebSocket })
        : connect({ base, room, api, after, interval, transports: [kind], more: STREAMS, WebSocket, ...tabs });
    this.connection.addEventListener("event", ({ detail }) => this.#arrived(detail));
  }

  #arrived(event) {
    const latency = this.account.arrived(event, performance.now());
    if (latency !== null) this.#tell("arrived", { id: event.message.client_id, latency });
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #fetch(url, options) {
    const measured = this.kind in STREAMS ? url : `${url}&measure=1`;
    let text = "";
    const sizeOf = async (response) => {
      if (!isStream(response)) text = await response.clone().text();
      return text.length;
    };
    const leaves = !this.network.isCut; // what cannot leave costs nothing
    if (leaves) this.#tell("asked");
    try {
      const response = await this.network.fetch(measured, options, sizeOf);
      if (this.kind in STREAMS && isStream(response)) return this.#stream(response);
      this.#answered(url, response, text);
      return response;
    } finally {
      // At its end: a request that is still held has cost a part only.
      if (leaves) {
        this.#counted.requests += 1;
        this.#counted.at = performance.now();
        this.#tell("answered", { events: text.includes('"seq":') ? 1 : 0 });
      }
    }
  }

  #answered(url, response, text) {
    const found = /in=(\d+), out=(\d+)/.exec(response.headers.get("Quotechat-Bytes") ?? "");
    const bytes = { in: Number(found?.[1] ?? 0), out: Number(found?.[2] ?? 0) };
    this.#counted.in += bytes.in;
    this.#counted.out += bytes.out;
    this.#tell("wire", { kind: "poll", url, response, text, bytes });
  }

  #stream(response) {
    const began = performance.now();
    this.#silence = { out: 0, at: began, began };
    const heard = (piece) => {
      const now = performance.now();
      const size = chunkBytes(piece.length);
      this.#counted.out += size;
      this.#counted.at = now;
      // Heartbeats come by the clock, whatever else comes: they are what silence costs. The first says hello.
      if (now - began > 1_000 && isHeartbeat(new TextDecoder().decode(piece))) {
        this.#silence = { out: this.#silence.out + size, at: now, began };
      }
    };
    return new Response(this.network.body(response, heard), { headers: response.headers, status: response.status });
  }

  #frame(way, data) {
    const size = frameBytes(data, { masked: way === "in" });
    this.#counted[way] += size;
    if (way === "out") this.#counted.at = performance.now();
    if (way === "out" && isHeartbeat(data)) {
      this.#counted.out += PING.out;
      this.#counted.in += PING.in;
    }
    this.#tell("wire", { kind: "frame", way, text: data, size });
  }

  /** Requests and bytes until the last answer or frame, and when that came. */
  get counted() {
    return { ...this.#counted };
  }

  /** What it costs from one `counted` to now. */
  cost(before) {
    return since(before, this.counted);
  }

  /** What silence costs a stream: {requests, in, out, seconds}, from its opening to its last heartbeat. */
  get silence() {
    const { out, at, began } = this.#silence;
    return { requests: 0, in: 0, out, seconds: (at - began) / 1000 };
  }

  close() {
    this.connection.close();
  }
}
