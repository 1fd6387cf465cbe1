// What a page marks as read: what was seen, and no more.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
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

/** The marks of an account in a room whose newest message is in view while `page.looks`. */
function reader(room, page = { looks: true }) {
  const marks = [];
  const mark = async (seq) => void marks.push(seq);
  const unread = new Unread(room, () => page.looks, { read: { id: 0, messages: 0 }, mark });
  return { unread, marks, page };
}

test("what comes while nobody looks is not marked with what was seen before", () => {
  for (const away of [(page) => (page.looks = false), () => (document.hidden = true)]) {
    document.hidden = false;
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
