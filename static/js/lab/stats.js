// Numbers out of measurements. Pure.

/** The value that `share` of `values` do not exceed, by the nearest rank; NaN where there is none. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** One reader's row: latencies in ms, counts, bytes on the wire, and what a minute of silence costs. */
export function summary({ name, latencies, sent, repeated, active, idle }) {
  const minute = idle.seconds ? 60 / idle.seconds : 0;
  return {
    reader: name,
    p50: percentile(latencies, 0.5),
    p95: percentile(latencies, 0.95),
    max: percentile(latencies, 1),
    arrived: latencies.length,
    missed: sent - latencies.length,
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

const number = (value) => (Number.isFinite(value) ? String(Math.round(value * 10) / 10) : "");

/** Rows of objects with the same fields as comma-separated values (RFC 4180). */
export function csv(rows) {
  const lines = [
    Object.keys(rows[0]),
    ...rows.map((row) => Object.values(row).map((value) => (typeof value === "number" ? number(value) : value))),
  ];
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}
