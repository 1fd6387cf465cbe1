// Events over an answer that does not end: lines of JSON, or server-sent events. Only the lab has use for it:
// a WebSocket does the same and can be written to.
import { Problem } from "../problem.js";
import { Ended, Missing } from "./ended.js";

const TYPES = { ndjson: "application/x-ndjson", sse: "text/event-stream" };

/** A transport for `connect`: `kind` is "ndjson" or "sse". */
export const stream = (kind) => async (link, signal) => {
  const url = `${link.base}/rooms/${encodeURIComponent(link.room)}/events?after=${link.cursor()}`;
  const response = await link.api.fetch(url, { headers: { Accept: TYPES[kind] }, cache: "no-store", signal });
  if (!response.ok) throw new Problem(await response.json().catch(() => ({})), response.status);
  for await (const line of linesOf(response.body.getReader())) {
    signal.throwIfAborted();
    link.heard();
    const envelope = envelopeOf(line, kind);
    if (envelope) receive(link, envelope);
  }
  throw new Ended("The stream ended.");
};

/** The envelope in a line of a stream, or null: what a stream says besides is for its framing. */
export function envelopeOf(line, kind) {
  if (kind === "sse") return line.startsWith("data: ") ? JSON.parse(line.slice(6)) : null;
  return line ? JSON.parse(line) : null;
}

/** The lines of a reader of bytes, whole. */
export async function* linesOf(reader) {
  const decoder = new TextDecoder();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (text + decoder.decode(value, { stream: true })).split("\n");
    text = lines.pop();
    yield* lines;
  }
}

function receive(link, envelope) {
  const { command, cursor, cursors, error, seq } = envelope;
  if (typeof seq === "number") {
    if (!link.deliver(envelope)) throw new Missing("An event was missing.");
  } else if (command === "caught-up") {
    link.caughtUp(cursor);
    link.proved();
  } else if (command === "typing") {
    link.typingTold(envelope);
  } else if (command === "reset") {
    throw new Problem(error, 410);
  } else if (command === "heartbeat" && !link.keepsUp(cursors?.[link.room])) {
    throw new Missing("Behind the server.");
  }
}
