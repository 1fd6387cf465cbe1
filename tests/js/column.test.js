import assert from "node:assert/strict";
import { test } from "node:test";
import { newsText, rowOf } from "../../static/js/reader/column.js";
import { countsOf, rowsOf } from "../../static/js/reader/visited.js";
import { matches } from "../../static/js/page/words.js";

test("what is new is said in words, and nothing where nothing is", () => {
  assert.equal(newsText({}), "");
  assert.equal(newsText({ unread: 12 }), "12 unread");
  assert.equal(newsText({ unread: 1, mentions: 1 }), "1 unread, 1 mention");
  assert.equal(newsText({ mentions: 2 }), "2 mentions");
});

test("a row has what an entry of the inbox says, but nothing new for the room that is shown", () => {
  const entry = { title: "The team", unread: 3, mentions: 1 };
  const { label, unread, mentions, direct } = rowOf("team", entry);
  assert.deepEqual([label, unread, mentions, direct], ["team", 3, 1, false]);
  assert.equal(rowOf("team", entry, true).unread, 0);
  assert.equal(rowOf("team", entry, true).mentions, 0);
  const people = [{ name: "Bo" }, { name: "Chidi" }];
  assert.equal(rowOf("dm-1", { kind: "direct", with: people }).label, "Bo, Chidi");
  assert.equal(rowOf("dm-2", { kind: "direct" }).label, "Notes to yourself");
  assert.ok(rowOf("noise", { level: "nothing" }).pale);
  assert.ok(rowOf("noise", { level: "hidden" }).hidden);
  assert.ok(!rowOf("noise", { level: "hidden" }, true).hidden);
  assert.ok(!rowOf("noise", { level: "hidden", mentions: 1 }).hidden);
});

test("without an account a room is new that this browser has read, and that has gone on since", () => {
  const rooms = ["lobby", "tea", "lab", "other"].map((name) => ({ name, cursor: "7.abc" }));
  const read = { lobby: 3, tea: 7 };
  const rows = rowsOf(rooms, (name) => read[name] ?? null, "other");
  assert.deepEqual(
    rows.map(({ name, isNew }) => [name, isNew]),
    [
      ["lobby", true],
      ["tea", false],
      ["other", false],
    ],
  );
});

test("every word is looked for, in any order", () => {
  assert.ok(matches("POST /api/v1/rooms/{room}/messages Send a message", "message post"));
  assert.ok(!matches("GET /api/v1/rooms", "rooms post"));
  assert.ok(matches("anything", "  "));
});

test("a visitor's rooms are counted by what this browser has read, and edits are no news", () => {
  const rooms = [
    { name: "tea", cursor: "9.f", last: 8, messages: 7 },
    { name: "jam", cursor: "9.f", last: 4, messages: 4 },
    { name: "pie", cursor: "9.f", last: 8, messages: 7 },
    { name: "new", cursor: "9.f", last: 8, messages: 7 },
  ];
  const read = (name) => ({ tea: 4, jam: 5, pie: 3 })[name] ?? null;
  const counted = (name) => ({ tea: 4 })[name] ?? null;
  const rows = rowsOf(rooms, read, "other", counted).map(({ name, unread, isNew }) => [name, unread, isNew]);
  assert.deepEqual(rows, [
    ["tea", 3, false],
    ["jam", 0, false],
    ["pie", 0, true],
    ["new", 0, false],
  ]);
  assert.deepEqual(
    countsOf(rooms, read).map(({ name, messages }) => [name, messages]),
    [["jam", 4]],
  );
});
