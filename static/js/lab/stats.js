// Numbers out of measurements. Pure.

/** The value that `share` of `values` do not exceed, by the nearest rank; NaN if there is none. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/**
 * One reader's row: latencies in ms, counts, bytes on the wire, and what a minute of silence costs: NaN until that is
 * known. `missed` are the probes that cannot come any more; `seconds` is how long the run took so far.
 */
export function summary({ name, latencies, sent, missed, repeated, active, idle, seconds }) {
  const minute = idle.seconds ? 60 / idle.seconds : NaN;
  return {
    reader: name,
    p50: percentile(latencies, 0.5),
    p95: percentile(latencies, 0.95),
    max: percentile(latencies, 1),
    arrived: latencies.length,
    missed,
    repeated,
    requests: active.requests,
    in: active.in,
    out: active.out,
    idleRequests: idle.requests * minute,
    idleBytes: (idle.in + idle.out) * minute,
    perMinute: seconds ? (active.requests * 60) / seconds : NaN,
    perMessage: sent ? (active.in + active.out) / sent : NaN,
  };
}

/** The columns of the table that all see first; the others are under "All figures". */
export const FIRST = ["p50", "max", "missed", "repeated", "perMinute", "perMessage"];
export const ALL = [
  ...["p50", "p95", "max", "arrived", "missed", "repeated", "requests", "in", "out"],
  ...["idleRequests", "idleBytes"],
];

/** What `counted` gained since `before`; a count that began anew meanwhile counts from 0. */
export const since = (before, counted) =>
  Object.fromEntries(
    Object.keys(before).map((key) => [key, counted[key] < before[key] ? counted[key] : counted[key] - before[key]]),
  );

/** Costs of several tabs together; `at` is the time of the last. */
export const together = (costs) => ({
  requests: sum(costs.map(({ requests }) => requests)),
  in: sum(costs.map((cost) => cost.in)),
  out: sum(costs.map(({ out }) => out)),
  at: Math.max(...costs.map(({ at }) => at)),
});
export const sum = (values) => values.reduce((all, value) => all + value, 0);

/** Bytes of a text as one frame of a WebSocket (RFC 6455 §5.2); what a client sends is `masked`. */
export function frameBytes(text, { masked }) {
  const size = new TextEncoder().encode(text).length;
  const length = size < 126 ? 0 : size < 65_536 ? 2 : 8;
  return 2 + length + (masked ? 4 : 0) + size;
}

/** Bytes of `size` bytes as one chunk of an answer (RFC 9112 §7.1). */
export const chunkBytes = (size) => size.toString(16).length + 4 + size;

/** Is this piece of a stream a heartbeat and nothing else? */
export const isHeartbeat = (text) =>
  /^(: heartbeat\n|\{"command":\s*"heartbeat")/.test(text) && !text.includes('"seq"');

/** Bytes that go with a heartbeat of a socket unseen by a page: an empty ping, and its masked pong (RFC 6455 §5.5). */
export const PING = { out: 2, in: 6 };

/** A number as people read it, or "–". */
export const shown = (value) =>
  Number.isFinite(value) ? value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 }) : "–";

const number = (value) => (Number.isFinite(value) ? String(Math.round(value * 10) / 10) : "");

/** Rows of objects with the same fields as comma-separated values (RFC 4180). */
export function csv(rows) {
  const lines = [
    Object.keys(rows[0]),
    ...rows.map((row) => Object.values(row).map((value) => (typeof value === "number" ? number(value) : value))),
  ];
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

/** Rows as a table in Markdown. */
export function markdown(rows) {
  const keys = Object.keys(rows[0]);
  const lines = [
    keys,
    keys.map((_, i) => (i ? "---:" : "---")),
    ...rows.map((row) => keys.map((key) => (typeof row[key] === "number" ? shown(row[key]) : row[key]))),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

const FIELDS = [...ALL, "perMinute", "perMessage"];

/** As exact as it is shown. */
const coarse = (value) => number(value < 10 ? value : Math.round(value));

/** Rows as a text for an address: numbers only; the readers are known by their order. */
export const encodeResults = (rows) => rows.map((row) => FIELDS.map((key) => coarse(row[key])).join(",")).join(";");

/** The rows in such a text, for readers with these names; null if it is none. */
export function decodeResults(text, names) {
  const lines = text.split(";").map((line) => line.split(","));
  const isNumber = (part) => /^(\d{1,12}(\.\d)?)?$/.test(part);
  if (lines.length !== names.length) return null;
  if (!lines.every((parts) => parts.length === FIELDS.length && parts.every(isNumber))) return null;
  return lines.map((parts, i) => ({
    reader: names[i],
    ...Object.fromEntries(FIELDS.map((key, at) => [key, parts[at] === "" ? NaN : Number(parts[at])])),
  }));
}
