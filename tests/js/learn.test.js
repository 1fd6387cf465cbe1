// The toys of /learn: each fault comes of how its server works, and the next step's way mends it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FAULTS } from "../../static/js/learn/faults.js";
import { classesOf, fateOf, timeOf } from "../../static/js/learn/picture.js";
import { TRIP, World } from "../../static/js/learn/world.js";
import { stories } from "../../tools/learn_stories.mjs";

const fates = ({ messages }) => messages.map(fateOf);
const steps = ({ min, max, step }) =>
  Array.from({ length: Math.round((max - min) / step) + 1 }, (_, i) => min + i * step);

test("each toy shows its fault at first, and is mended by the next step for every setting", () => {
  assert.equal(Object.keys(FAULTS).length, 8);
  for (const [name, { story, knob }] of Object.entries(FAULTS)) {
    assert.ok(story().wrong, name);
    assert.match(story().told, /\w/, name);
    for (const value of steps(knob)) assert.ok(!story({ mended: true, value }).wrong, `${name} ${value}`);
  }
});

test("a toy is deterministic, and its actors are those of its rows", () => {
  for (const [name, { story, knob }] of Object.entries(FAULTS)) {
    for (const value of steps(knob)) {
      for (const mended of [false, true]) {
        const found = story({ mended, value });
        assert.deepEqual(found, story({ mended, value }), name);
        assert.deepEqual(
          found.rows,
          [...found.rows].sort((a, b) => a.at - b.at),
          name,
        );
        for (const { from, to } of found.rows) {
          assert.ok(found.actors.includes(from) && (to === null || found.actors.includes(to)), name);
        }
      }
    }
  }
});

const wrongAt = (name) => steps(FAULTS[name].knob).filter((value) => FAULTS[name].story({ value }).wrong);

test("asking for all costs more with each message in the room", () => {
  assert.deepEqual(wrongAt("0-naive"), steps(FAULTS["0-naive"].knob).slice(1));
  assert.match(FAULTS["0-naive"].story({ value: 500 }).told, /^1,500 messages \(90,000 bytes\)/);
});

test("of two messages in one millisecond the second is lost, of two in different ones none", () => {
  const found = FAULTS["1-since-time"];
  assert.deepEqual(fates(found.story({ value: 0.6 })), ["arrived", "lost"]);
  assert.deepEqual(fates(found.story({ value: 1.4 })), ["arrived", "arrived"]);
});

test("a short poll comes late by what is left of its interval", () => {
  const { story } = FAULTS["2-since-number"];
  const late = (value) => story({ value }).messages[0].arrived[0] - story({ value }).messages[0].at;
  assert.equal(late(100) - late(1_900), 1_800);
  const mended = story({ mended: true }).messages[0];
  assert.equal(mended.arrived[0] - mended.at, 2 * TRIP);
});

test("a wake-up is lost between the look and the wait, and only there", () => {
  assert.deepEqual(wrongAt("3-long-poll"), [0, 2, 4, 6]);
});

test("what is stored between GET and WebSocket is lost, and only that", () => {
  assert.deepEqual(wrongAt("4-websocket"), [10, 20, 30, 40, 50, 60, 70]);
  assert.deepEqual(fates(FAULTS["4-websocket"].story()), ["arrived", "lost", "arrived"]);
});

test("a repeated command is stored again without a client_id, and a like counts again", () => {
  assert.deepEqual(wrongAt("5-commands"), [2, 3, 4]);
  assert.match(FAULTS["5-commands"].story({ value: 3 }).told, /shows 3 likes/);
  assert.match(FAULTS["5-commands"].story({ value: 3, mended: true }).told, /shows 1 like\./);
});

test("readers of one worker never get what another worker stored", () => {
  for (const value of [0, 1, 2, 3, 4]) {
    const lost = fates(FAULTS["6-two-workers"].story({ value })).filter((fate) => fate === "lost");
    assert.equal(lost.length, value);
  }
});

test("a number of another history skips what the new one has before it", () => {
  assert.deepEqual(
    FAULTS["7-restart"]
      .story()
      .messages.filter(({ arrived }) => !arrived.length)
      .map(({ text }) => text),
    ["four", "five"],
  );
});

test("the world does things in the order of time, and of planning within one time", () => {
  const world = new World();
  const done = [];
  world.at(2, () => done.push("c"));
  world.at(1, () => {
    done.push("a");
    world.after(0, () => done.push("b"));
  });
  world.run();
  assert.deepEqual(done, ["a", "b", "c"]);
});

test("a row knows its columns and its fate", () => {
  const actors = ["sender", "server", "reader"];
  assert.equal(
    classesOf({ from: "reader", to: "sender", kind: "lost" }, actors),
    "what to-left left-1 right-3 span-3 lost",
  );
  assert.equal(classesOf({ from: "server", to: null, kind: "" }, actors), "what note left-2 right-2 span-1");
  assert.deepEqual([timeOf(0.1 + 0.2), timeOf(1_940), timeOf(25_106)], ["0.3 ms", "1940 ms", "25.1 s"]);
});

test("the pages that the server renders tell the same: node tools/learn_stories.mjs", () => {
  assert.equal(readFileSync(new URL("../../static/learn/stories.json", import.meta.url), "utf8"), stories());
});
