// What somebody wrote is sent once, in order, and never forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../static/js/backoff.js";
import { Outbox } from "../../static/js/outbox.js";
import { Problem } from "../../static/js/problem.js";
import { until } from "./fakes.js";

function memory() {
  const kept = new Map();
  return {
    load: (key) => (kept.has(key) ? JSON.parse(kept.get(key)) : null),
    save: (key, value) => (value === null ? kept.delete(key) : kept.set(key, JSON.stringify(value))),
    keys: (beginning) => [...kept.keys()].filter((key) => key.startsWith(beginning)),
  };
}
const outbox = (deliver, store = memory()) =>
  new Outbox({ room: "lobby", deliver, store, backoff: new Backoff({ min: 1, max: 5 }) });
const text = (message) => ({ user: "Ada", message });

test("one at a time, first in first out", async () => {
  let inFlight = 0;
  const got = [];
  const box = outbox(async ({ message }) => {
    assert.equal((inFlight += 1), 1);
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
    inFlight -= 1;
    got.push(message.message);
    return { seq: got.length };
  });
  for (const word of ["a", "b", "c"]) box.add(text(word));
  await until(() => got.length === 3);
  assert.deepEqual(got, ["a", "b", "c"]);
  await until(() => box.items.length === 0);
});

test("repeats with the same client_id until there is an answer", async () => {
  const ids = [];
  const box = outbox(async ({ client_id: id }) => {
    ids.push(id);
    if (ids.length < 4) throw new TypeError("fetch failed");
    return { seq: 1, duplicate: true };
  });
  box.add(text("once"));
  await until(() => box.items.length === 0);
  assert.equal(ids.length, 4);
  assert.equal(new Set(ids).size, 1);
});

test("a refusal is shown and does not hold up the next; 429 is no refusal", async () => {
  let limited = 1;
  const box = outbox(async ({ message }) => {
    if (message.message === "bad") throw new Problem({ status: 422, code: "invalid", detail: "No." });
    if (limited) {
      limited -= 1;
      throw new Problem({ status: 429, code: "rate-limited", retry_in_ms: 3 });
    }
    return { seq: 1 };
  });
  const bad = box.add(text("bad"));
  box.add(text("good"));
  await until(() => box.items.length === 1);
  assert.deepEqual([bad.state, bad.reason, box.waiting], ["failed", "No.", 0]);
  box.discard(bad.client_id);
  assert.equal(box.items.length, 0);
});

test("what was unsent is sent after a reload, under its old client_id", async () => {
  const store = memory();
  const before = outbox(() => new Promise(() => {}), store);
  const { client_id: id } = before.add(text("kept"));
  const ids = [];
  const after = outbox(async (envelope) => {
    ids.push(envelope.client_id);
    return { seq: 1 };
  }, store);
  after.flush();
  await until(() => after.items.length === 0);
  assert.deepEqual(ids, [id]);
  assert.deepEqual(store.keys(""), []);
});

test("a client_id that the server knows with other content gets a new one on retry", async () => {
  const ids = [];
  const box = outbox(async ({ client_id: id }) => {
    ids.push(id);
    if (ids.length === 1) throw new Problem({ status: 422, code: "client-id-reused" });
    return { seq: 1 };
  });
  const item = box.add(text("x"));
  await until(() => item.state === "failed");
  box.retry(item.client_id);
  await until(() => box.items.length === 0);
  assert.notEqual(ids[0], ids[1]);
});
