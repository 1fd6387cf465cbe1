// Numbers out of measurements. Pure.

/** The value that `share` of `values` do not exceed, by the nearest rank; NaN where there is none. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/**
 * One reader's row: latencies in ms, counts, bytes on the wire, and what a minute of silence costs: NaN until that is
 * known. What is missed is known once the run is `over`; until then a probe may be on its way.
 */
export function summary({ name, latencies, sent, repeated, active, idle, over = true }) {
  const minute = idle.seconds ? 60 / idle.seconds : NaN;
  return {
    reader: name,
    p50: percentile(latencies, 0.5),
    p95: percentile(latencies, 0.95),
    max: percentile(latencies, 1),
    arrived: latencies.length,
    missed: over ? sent - latencies.length : NaN,
    repeated,
    requests: active.requests,
    in: active.in,
    out: active.out,
    idleRequests: idle.requests * minute,
    idleBytes: (idle.in + idle.out) * minute,
  };
}

/** What `counted` gained since `before`; a count that began anew meanwhile counts from 0. */
export const since = (before, counted) =>
  Object.fromEntries(
    Object.keys(before).map((key) => [key, counted[key] < before[key] ? counted[key] : counted[key] - before[key]]),
  );

/** Bytes of a text as one frame of a WebSocket (RFC 6455 §5.2); what a client sends is `masked`. */
export function frameBytes(text, { masked }) {
  const size = new TextEncoder().encode(text).length;
  const length = size < 126 ? 0 : size < 65_536 ? 2 : 8;
  return 2 + length + (masked ? 4 : 0) + size;
}

const number = (value) => (Number.isFinite(value) ? String(Math.round(value * 10) / 10) : "");

/** Rows of objects with the same fields as comma-separated values (RFC 4180). */
export function csv(rows) {
  const lines = [
    Object.keys(rows[0]),
    ...rows.map((row) => Object.values(row).map((value) => (typeof value === "number" ? number(value) : value))),
  ];
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}
