// The numbers of the lab.
import assert from "node:assert/strict";
import { test } from "node:test";
import { csv, frameBytes, percentile, since, summary } from "../../static/js/lab/stats.js";

test("percentiles by the nearest rank", () => {
  const values = [5, 1, 4, 2, 3];
  assert.deepEqual(
    [0, 0.5, 0.95, 1].map((share) => percentile(values, share)),
    [1, 3, 5, 5],
  );
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test("a row counts what is missing, and a minute of silence", () => {
  const row = summary({
    name: "WebSocket",
    latencies: [1, 2, 9],
    sent: 4,
    repeated: 0,
    active: { requests: 0, in: 10, out: 500 },
    idle: { requests: 2, in: 100, out: 300, seconds: 5 },
  });
  assert.equal(row.missed, 1);
  assert.deepEqual([row.p50, row.p95, row.max], [2, 9, 9]);
  assert.deepEqual([row.idleRequests, row.idleBytes], [24, 4800]);
});

test("what is on its way is not missed, and silence costs nothing that is known before an answer", () => {
  const idle = { requests: 0, in: 0, out: 0, seconds: 0 };
  const active = { requests: 0, in: 0, out: 0 };
  const row = summary({ name: "WebSocket", latencies: [1], sent: 3, repeated: 0, active, idle, over: false });
  assert.ok(Number.isNaN(row.missed) && Number.isNaN(row.idleBytes));
});

test("a frame has two bytes and more about its text, and a mask where a client sends it", () => {
  assert.equal(frameBytes("é", { masked: false }), 4);
  assert.equal(frameBytes("a".repeat(126), { masked: true }), 134);
  assert.equal(frameBytes("a".repeat(65_536), { masked: false }), 65_546);
});

test("a count that began anew is no negative cost", () => {
  assert.deepEqual(since({ in: 10, out: 900 }, { in: 15, out: 20 }), { in: 5, out: 20 });
});

test("comma-separated values have a head and CRLF", () => {
  assert.equal(csv([{ reader: "a", p50: 1.234, max: NaN }]), "reader,p50,max\r\na,1.2,\r\n");
});
