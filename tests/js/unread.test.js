// What a page marks as read: what was seen, and no more.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Problem } from "../../static/js/problem.js";
import { Unread } from "../../static/js/reader/unread.js";

const leaving = new Set(); // what hears that the page is left

beforeEach(() => {
  globalThis.document = { hidden: false };
  globalThis.addEventListener = (type, heard) => type === "pagehide" && leaving.add(heard);
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => {
  mock.timers.reset();
  leaving.clear();
});

/** The marks of an account in a room whose newest message is in view while `page.looks`; they fail with
 *  `page.failure`, if there is one. */
function reader(room, page = { looks: true }, read = { id: 0, messages: 0 }) {
  const marks = [];
  const mark = async (seq) => {
    marks.push(seq);
    if (page.failure) throw page.failure;
  };
  const unread = new Unread(room, () => page.looks, { read, mark });
  return { unread, marks, page };
}

test("what comes while nobody looks is not marked with what was seen before", () => {
  for (const away of [(page) => (page.looks = false), () => (globalThis.document.hidden = true)]) {
    globalThis.document.hidden = false;
    const { unread, marks, page } = reader("seen");
    unread.reached(4);
    mock.timers.tick(0);
    unread.reached(5);
    away(page);
    unread.reached(6);
    mock.timers.tick(10_000);
    assert.deepEqual(marks, [4, 5]);
  }
});

test("what comes while nobody looks is not marked when the page is left", () => {
  const { unread, marks, page } = reader("left");
  unread.reached(4);
  page.looks = false;
  unread.reached(5);
  for (const leave of leaving) leave();
  assert.deepEqual(marks, [4]);
});

/** So many milliseconds pass, and what was answered is heard. */
async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await new Promise((heard) => {
    setImmediate(heard);
  });
}

test("a mark that failed is repeated when the page is live again, also with nobody there", async () => {
  const { unread, marks, page } = reader("away");
  page.failure = new TypeError("fetch failed");
  unread.reached(4);
  await pass(0);
  page.looks = false;
  page.failure = null;
  unread.reached(5);
  await pass(3_000);
  assert.deepEqual(marks, [4, 4]);
  unread.reached(5);
  await pass(100_000);
  assert.deepEqual(marks, [4, 4], "once it is told, it is not told again");
});

test("a mark that failed is repeated by itself, at longer and longer intervals", async () => {
  const { unread, marks, page } = reader("alone");
  page.failure = new Problem({}, 503);
  unread.reached(4);
  for (let second = 0; second < 600; second += 1) await pass(1_000);
  assert.ok(marks.length >= 10 && marks.length < 100, `${marks.length} in ten minutes`);
  page.failure = null;
  for (let second = 0; second < 60; second += 1) await pass(1_000);
  const told = marks.length;
  await pass(100_000);
  assert.deepEqual(new Set(marks), new Set([4]));
  assert.equal(marks.length, told);
});

test("a mark that failed is repeated when the page is left", async () => {
  const { unread, marks, page } = reader("gone");
  page.failure = new TypeError("fetch failed");
  unread.reached(4);
  await pass(0);
  for (const leave of leaving) leave();
  assert.deepEqual(marks, [4, 4]);
});

test("a mark that is refused is not repeated", async () => {
  const { unread, marks, page } = reader("refused");
  page.failure = new Problem({ code: "forbidden" }, 403);
  unread.reached(4);
  await pass(0);
  unread.reached(4);
  await pass(100_000);
  assert.deepEqual(marks, [4]);
});

test("a mark that fails late takes nothing back from a later one", async () => {
  const { unread, marks } = reader("late");
  const fails = [];
  unread.mark = (seq) => {
    marks.push(seq);
    return seq === 4 ? new Promise((_, reject) => fails.push(reject)) : Promise.resolve();
  };
  unread.reached(4);
  await pass(0);
  unread.reached(5);
  await pass(3_000);
  fails[0](new TypeError("fetch failed"));
  await pass(0);
  unread.reached(5);
  await pass(100_000);
  assert.deepEqual(marks, [4, 5]);
});

test("who has not joined marks nothing, and from then on what was seen", async () => {
  const { unread, marks } = reader("joined", { looks: true }, null);
  unread.reached(4);
  for (const leave of leaving) leave();
  await pass(10_000);
  assert.deepEqual(marks, [], "a mark would join");
  unread.joins(true);
  await pass(0);
  assert.deepEqual(marks, [4]);
  unread.reached(5);
  unread.joins(false);
  await pass(10_000);
  for (const leave of leaving) leave();
  assert.deepEqual(marks, [4], "a mark would join again");
});
