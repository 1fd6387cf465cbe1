// Requests and answers; no page and no waiting.
import { Problem } from "./problem.js";

/** Where the API is, of a server at `url`; without one, of the server that the page is from. */
export const baseOf = (url = "") => `${url.replace(/\/+$/, "")}/api/v1`;

export class Api {
  /**
   * @param {object} [options]
   * @param {string} [options.url] the server, with its path if it has one; the page's own by default
   * @param {string} [options.base] the API itself, instead of `url`
   * @param {string} [options.room] its name
   * @param {typeof globalThis.fetch} [options.fetch]
   */
  constructor({ url, base = baseOf(url), room = "lobby", fetch = globalThis.fetch.bind(globalThis) } = {}) {
    this.base = base;
    this.room = room;
    this.fetch = fetch;
  }

  get roomUrl() {
    return `${this.base}/rooms/${encodeURIComponent(this.room)}`;
  }

  /** The JSON of the answer. Throws Problem where the server refused, TypeError where it was not reached. */
  async request(method, url, { body, signal, keepalive = false } = {}) {
    const response = await this.fetch(url, {
      method,
      signal,
      keepalive,
      // Two tabs that poll one URL wait for each other in the HTTP cache otherwise.
      cache: "no-store",
      headers:
        body === undefined
          ? { Accept: "application/json" }
          : { Accept: "application/json", "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    // Without JSON it came from a proxy in between: its status is all we know.
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new Problem(answer ?? {}, response.status, response.headers.get("Retry-After"));
    if (answer === null) throw new Problem({ title: "The answer was cut short." }, 502);
    return answer;
  }

  get(path, query = {}, options = {}) {
    const parameters = new URLSearchParams(query).toString();
    return this.request("GET", this.base + path + (parameters && `?${parameters}`), options);
  }

  /** The latest messages and the cursor to read on from: {room, cursor, messages, has_more}. */
  snapshot(limit = 50) {
    return this.request("GET", `${this.roomUrl}?limit=${limit}`);
  }

  /** Older messages than the one with the id `before`: {messages, has_more}, oldest first. */
  older(before, limit = 50) {
    return this.request("GET", `${this.roomUrl}/messages?before=${before}&limit=${limit}`);
  }

  /** A page of what `q` finds: {hits: [{room, message, marks}], has_more, before}; `before` gives the next page. */
  search(q, { before, limit, order, signal } = {}) {
    const given = Object.entries({ q, before, limit, order }).filter(([, value]) => value !== undefined);
    return this.get("/search", given, { signal });
  }

  /** All up to the message `id` is read: for an account. */
  markRead(id, { keepalive = false } = {}) {
    const signal = AbortSignal.timeout?.(30_000);
    return this.request("PUT", `${this.roomUrl}/read`, { body: { id }, signal, keepalive });
  }

  events(after, { wait = 0, limit = 500, signal } = {}) {
    const query = new URLSearchParams({ after, wait, limit });
    return this.request("GET", `${this.roomUrl}/events?${query}`, { signal });
  }

  /** What is new in the rooms of the account behind the cursor `after`: {cursor, complete?, rooms, retry_in_ms?}. */
  inbox(after = "0", { wait = 0, signal } = {}) {
    return this.get("/inbox", { after, wait }, { signal });
  }

  /** Who of the room's members is here: {id: "here", or the minutes since}. */
  async presence() {
    return (await this.get("/presence", { room: this.room })).present;
  }

  /** Any envelope of the protocol; answers its ack. */
  command(envelope, { keepalive = false } = {}) {
    return this.request("POST", `${this.roomUrl}/commands`, {
      body: { room: this.room, ...envelope },
      signal: AbortSignal.timeout?.(30_000),
      keepalive,
    });
  }
}
