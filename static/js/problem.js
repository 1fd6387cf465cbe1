// What the server refused, as an error to catch. Switch on `code`, never on the text.
import { Ended } from "./transports/ended.js";

export class Problem extends Error {
  /** `body` is the problem object of RFC 9457; `retryAfter` the header, in seconds. */
  constructor(body = {}, status = body.status ?? 0, retryAfter = null) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.code = body.code ?? "unknown";
    this.status = status;
    this.field = body.field ?? null;
    this.retryIn = body.retry_in_ms ?? (retryAfter ? Number(retryAfter) * 1000 || 0 : 0);
  }

  /** True where repeating the same request cannot help. */
  get final() {
    return this.status >= 400 && this.status < 500 && this.status !== 429 && this.status !== 408;
  }

  /** True where the cursor is of no use any more: take a new snapshot. */
  get lostCursor() {
    return ["cursor-expired", "cursor-ahead", "history-changed"].includes(this.code);
  }
}

/** What to tell people of an error: our own words and the server's, never the browser's. */
export const reasonOf = (error) =>
  error instanceof Problem || error instanceof Ended ? error.message : "The server cannot be reached.";
