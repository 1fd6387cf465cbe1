// What somebody wrote is sent once, in order, and never forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../static/js/backoff.js";
import { Outbox } from "../../static/js/outbox/outbox.js";
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
const outbox = (deliver, store = memory(), options = {}) =>
  new Outbox({ room: "lobby", deliver, store, backoff: new Backoff({ min: 1, max: 5 }), slow: 20, ...options });
const text = (message) => ({ command: "send-message", message: { user: "Ada", message } });
const edit = (id, message) => ({ command: "edit-message", message: { id, message } });
const react = (id, reaction) => ({ command: "react", message: { id, reaction } });

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

const limited = (wait) => new Problem({ status: 429, code: "rate-limited", detail: "Slow.", retry_in_ms: wait });

test("what has to wait for long is refused with its reason, and holds nothing up", async () => {
  const said = [];
  let open = false;
  const box = outbox(async ({ command, message }) => {
    if (command === "send-message" && !open) throw limited(600_000);
    said.push(message.message ?? message.reaction);
    return { seq: 1 };
  });
  const slow = box.add(text("too soon"));
  box.add(react(1, "like"));
  await until(() => said.length === 1);
  assert.deepEqual([slow.state, slow.reason, slow.code, box.waiting], ["failed", "Slow.", "rate-limited", 0]);
  open = true;
  box.retry(slow.client_id);
  await until(() => box.items.length === 0);
  assert.deepEqual(said, ["like", "too soon"]);
});

test("what has to wait for a moment lets others go first, but nothing about the same message, and no newer one", async () => {
  const said = [];
  let pauses = 1;
  const box = outbox(async ({ message }) => {
    const words = message.message ?? message.reaction;
    if (words === "first" && pauses) {
      pauses -= 1;
      throw limited(100);
    }
    said.push(words);
    return { seq: 1 };
  });
  box.add(text("first"));
  box.add(text("second"));
  box.add(react(1, "like"));
  box.add(edit(1, "new"));
  await until(() => box.items.length === 0);
  assert.deepEqual(said, ["like", "new", "first", "second"]);
});

test("what came behind one that waits goes on when that one is taken away", async () => {
  const said = [];
  const box = outbox(async ({ message }) => {
    if (message.message === "first") throw limited(9_000);
    said.push(message.message);
    return { seq: 1 };
  });
  const first = box.add(text("first"));
  box.add(text("second"));
  await until(() => first.tried);
  await new Promise(setImmediate);
  box.discard(first.client_id);
  await until(() => box.items.length === 0);
  assert.deepEqual(said, ["second"]);
});

test("a limit of all that one does is not asked for each command", async () => {
  let asked = 0;
  const box = outbox(async () => {
    asked += 1;
    throw limited(9_000);
  });
  for (const id of [1, 2, 3, 4]) box.add(react(id, "like"));
  await until(() => asked === 2);
  await new Promise(setImmediate);
  assert.deepEqual([asked, box.waiting], [2, 4]);
  box.end();
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

/** A server that fails `failures` times, then takes what comes; `seen` has the client_id and content of each try. */
function flaky(failures) {
  const seen = [];
  const deliver = async ({ client_id: id, message }) => {
    seen.push({ id, said: message.message ?? message.reaction });
    if (seen.length <= failures) throw new TypeError("fetch failed");
    return { seq: seen.length };
  };
  return { seen, deliver };
}

test("changes of one message go one after the other, and the last one holds", async () => {
  const { seen, deliver } = flaky(2);
  const box = outbox(deliver);
  box.add(edit(1, "v1"));
  box.add(edit(1, "v2 final"));
  await until(() => box.items.length === 0);
  assert.deepEqual(
    seen.map(({ said }) => said),
    ["v1", "v1", "v1", "v2 final"],
  );
  assert.equal(new Set(seen.slice(0, 3).map(({ id }) => id)).size, 1);
});

test("what was never tried is dropped once a newer one exists; of another message or kind it is not", async () => {
  const { seen, deliver } = flaky(1);
  const box = outbox(deliver);
  box.add(text("first"));
  for (const reaction of ["like", "none", "dislike"]) box.add(react(1, reaction));
  box.add(react(2, "like"));
  box.add(edit(1, "new"));
  await until(() => box.items.length === 0);
  assert.deepEqual(
    seen.map(({ said }) => said),
    ["first", "first", "dislike", "like", "new"],
  );
});

test("of two emoji on one message neither makes the other needless, nor a like", async () => {
  const { seen, deliver } = flaky(1);
  const box = outbox(deliver);
  box.add(text("first"));
  for (const reaction of ["🎉", "👀", "like", "🎉"]) box.add(react(1, reaction));
  assert.equal(box.wanted("react", 1).message.reaction, "like");
  assert.equal(box.wanted("react", 1, "👀").message.reaction, "👀");
  await until(() => box.items.length === 0);
  assert.deepEqual(
    seen.map(({ said }) => said),
    ["first", "first", "👀", "like", "🎉"],
  );
});

test("an edit of descriptions and one of the text leave each other be", async () => {
  const box = outbox(() => new Promise(() => {}));
  const describe = (alt) => ({ command: "edit-message", message: { id: 1, files: [{ id: "f", alt }] } });
  box.add(edit(7, "first in the line"));
  for (const envelope of [edit(1, "text"), describe("Tea"), edit(1, "new text"), describe("Green tea")])
    box.add(envelope);
  assert.equal(box.items.length, 3);
  assert.equal(box.wanted("edit-message", 1).message.message, "new text");
  assert.equal(box.wanted("edit-message", 1, "files").message.files[0].alt, "Green tea");
});

test("a deletion makes all else about its message needless; one that is held is not sent", async () => {
  const { seen, deliver } = flaky(0);
  const box = outbox(deliver);
  const held = box.add({ command: "delete-message", message: { id: 1 } }, { held: true });
  const undone = box.add({ command: "delete-message", message: { id: 2 } }, { held: true });
  box.add(text("meanwhile"));
  await until(() => seen.length === 1);
  assert.ok(box.wanted("delete-message", 1));
  box.discard(undone.client_id);
  box.release(held.client_id);
  await until(() => box.items.length === 0);
  assert.equal(seen.length, 2);
});

/** Two tabs: the second one opens while the first one holds a deletion back for `held` ms, and hears what it keeps. */
function holding(held, now) {
  const store = memory();
  const seen = [];
  const deliver = async ({ command }) => {
    seen.push(command);
    return { seq: 1 };
  };
  let second = null;
  const save = (key, value) => {
    store.save(key, value);
    second?.heard({ key: `quotechat:${key}`, newValue: value && JSON.stringify(value) });
  };
  const first = outbox(deliver, { ...store, save }, { held, now });
  const item = first.add({ command: "delete-message", message: { id: 1 } }, { held: true });
  second = outbox(deliver, store, { held, now });
  second.flush();
  return { first, second, item, seen };
}

test("a deletion that is undone leaves the edit before it, one that is sent does not", async () => {
  const { seen, deliver } = flaky(0);
  const store = memory();
  const offline = outbox(() => new Promise(() => {}), store);
  offline.add(text("in flight"));
  for (const id of [1, 2]) offline.add(edit(id, `edit of ${id}`));
  const [undone, sent] = [1, 2].map((id) =>
    offline.add({ command: "delete-message", message: { id } }, { held: true }),
  );
  offline.discard(undone.client_id);
  offline.release(sent.client_id);
  assert.deepEqual(
    offline.items.map(({ envelope }) => `${envelope.command} ${envelope.message.id ?? ""}`),
    ["send-message ", "edit-message 1", "delete-message 2"],
  );
  offline.end();
  outbox(deliver, store).flush();
  await until(() => seen.length === 3);
  assert.deepEqual(
    seen.map(({ said }) => said),
    ["in flight", "edit of 1", undefined],
  );
});

test("what is unsent is of one account; a visitor's is of the account that signs in", async () => {
  const store = memory();
  const silent = () => new Promise(() => {});
  const [ann, visitor] = ["ann", undefined].map((by) => outbox(silent, store, { by }));
  visitor.add(text("of a visitor"));
  const mine = ann.add(edit(1, "of Ann"));
  const shown = (by) => outbox(silent, store, { by }).items.map(({ envelope }) => envelope.message.message);
  assert.deepEqual(shown(undefined), ["of a visitor"]);
  const bo = outbox(silent, store, { by: "bo" });
  const heard = [];
  bo.addEventListener("elsewhere", ({ detail: { item } }) => heard.push(item));
  bo.heard({ key: `quotechat:${store.keys("")[1]}`, newValue: JSON.stringify(mine) });
  bo.add(edit(1, "of Bo")); // and takes none of hers on
  assert.deepEqual(
    bo.items.map(({ envelope }) => envelope.message.message),
    ["of a visitor", "of Bo"],
  );
  assert.deepEqual(heard, []);
  assert.deepEqual([shown("ann"), shown(undefined)], [["of Ann"], []]);
});

test("what one tab holds back is undone there, though another tab has opened meanwhile", async () => {
  const { first, second, item, seen } = holding(60_000);
  second.add(text("meanwhile"));
  await until(() => seen.length === 1);
  assert.ok(second.wanted("delete-message", 1));
  first.discard(item.client_id);
  assert.deepEqual([first.items, second.items, seen], [[], [], ["send-message"]]);
});

test("what a tab held back that was closed is sent by another one, once the time to undo it is over", async () => {
  let [at, looked] = [1_000, 0];
  const { first, second, item, seen } = holding(20, () => {
    looked += 1;
    return at;
  });
  // Another deletion: all of them can be undone for as long again.
  at += 15;
  first.hold(item.client_id);
  assert.equal(item.until, 1_035);
  const before = looked;
  await until(() => second.items.length === 0);
  assert.equal(looked, before + 1); // it has waited again
  assert.deepEqual(seen, ["delete-message"]);
});

test("a refused edit keeps its text, and goes again with another", async () => {
  const store = memory();
  const box = outbox(async ({ message }) => {
    if (message.message === "bad") throw new Problem({ status: 422, code: "invalid", field: "message", detail: "No." });
    return { seq: 1 };
  }, store);
  const item = box.add(edit(1, "bad"));
  await until(() => item.state === "failed");
  const [key] = store.keys("outbox:");
  assert.deepEqual([store.load(key).envelope.message.message, item.field, item.reason], ["bad", "message", "No."]);
  assert.equal(box.wanted("edit-message", 1), undefined);
  box.retry(item.client_id, edit(1, "good"));
  await until(() => box.items.length === 0);
});

const cancel = (id) => ({ command: "cancel-scheduled", scheduled: { id } });

test("what was written instead of a scheduled message is not sent if that one was", async () => {
  const said = [];
  const box = outbox(async ({ command, message }) => {
    if (command === "cancel-scheduled") throw new Problem({ status: 404, code: "scheduled-unknown", detail: "No." });
    said.push(message.message);
    return { seq: 1 };
  });
  box.addEventListener("changed", ({ detail: { item } }) => {
    if (item.envelope.command === "cancel-scheduled" && item.state === "failed") box.discard(item.client_id);
  });
  box.add(cancel(4));
  const item = box.add(text("again, changed"), { instead: 4 });
  box.add(text("another"));
  await until(() => said.length === 1);
  assert.deepEqual([said, box.items, item.state], [["another"], [item], "failed"]);
  assert.match(item.reason, /waits no more/);
  box.retry(item.client_id);
  await until(() => box.items.length === 0);
  assert.deepEqual(said, ["another", "again, changed"]);
});

test("what was written instead of a scheduled message waits for its cancellation", async () => {
  const done = [];
  let pauses = 1;
  const box = outbox(async ({ command }) => {
    if (pauses) {
      pauses -= 1;
      throw limited(20);
    }
    done.push(command);
    return { seq: 1 };
  });
  box.add(cancel(4));
  box.add(text("changed"), { instead: 4 });
  await until(() => box.items.length === 0);
  assert.deepEqual(done, ["cancel-scheduled", "send-message"]);
});

test("another tab learns what was stored, and drops what was taken away", async () => {
  const store = memory();
  const heard = [];
  const other = outbox(() => new Promise(() => {}), memory());
  other.addEventListener("removed", ({ detail: { item, answer } }) => heard.push([item.envelope.message, answer.seq]));
  const box = outbox(async () => ({ seq: 9 }), {
    ...store,
    save: (key, value) => {
      store.save(key, value);
      other.heard({ key: `quotechat:${key}`, newValue: value && JSON.stringify(value) });
    },
  });
  box.add(react(4, "like"));
  await until(() => heard.length === 1);
  assert.deepEqual(heard, [[{ id: 4, reaction: "like" }, 9]]);
});

test("what another tab has not sent yet about the same message goes first", async () => {
  const store = memory();
  outbox(() => new Promise(() => {}), store).add(edit(1, "of the first tab"));
  const { seen, deliver } = flaky(0);
  const second = outbox(deliver, { ...store, keys: () => [] });
  second.store = store;
  second.add(edit(2, "other"));
  second.add(edit(1, "of the second tab"));
  await until(() => second.items.length === 0);
  assert.deepEqual(
    seen.map(({ said }) => said),
    ["other", "of the first tab", "of the second tab"],
  );
});

test("a command that is unanswered for long says so, once", async () => {
  let slow = 0;
  let answer = null;
  const box = outbox(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  box.addEventListener("slow", () => {
    slow += 1;
  });
  box.add(text("x"));
  await until(() => slow === 1);
  answer({ seq: 1 });
  await until(() => box.items.length === 0);
  assert.equal(slow, 1);
});

test("a message as version 0.1.0 kept it is sent", async () => {
  const store = memory();
  store.save("outbox:lobby:a", {
    client_id: "a",
    message: { user: "Ada", message: "old" },
    state: "sending",
    order: 1,
  });
  const sent = [];
  const box = outbox(async (envelope) => {
    sent.push(envelope);
    return { seq: 1 };
  }, store);
  box.flush();
  await until(() => box.items.length === 0);
  assert.deepEqual(sent, [
    { command: "send-message", room: "lobby", client_id: "a", message: { user: "Ada", message: "old" } },
  ]);
});
