// Decisions of the chat page that need no page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { found, parsed } from "../../static/js/entries/emoji.js";
import { offers } from "../../static/js/entries/actions.js";
import { corner } from "../../static/js/entries/place.js";
import { hueOf, initialsOf } from "../../static/js/person/face.js";
import { nextName } from "../../static/js/person/name.js";
import { namesFor, soughtIn } from "../../static/js/person/mention.js";
import { commandOf, neighbourOf } from "../../static/js/reader/keys.js";
import { fitting } from "../../static/js/reader/switcher.js";
import { leftOver } from "../../static/js/composer/lengths.js";
import { goesOn } from "../../static/js/entries/log.js";
import { missedOf, Unread } from "../../static/js/reader/unread.js";
import { load, save } from "../../static/js/page/store.js";
import { refreshed } from "../../static/js/live/snapshot.js";
import { Problem } from "../../static/js/problem.js";
import { isSignedIn } from "../../static/js/room/open.js";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf-8");

test("initials and colours are those of the server", () => {
  for (const { name, initials, hue } of JSON.parse(read("../vectors/faces.json"))) {
    assert.equal(initialsOf(name), initials);
    assert.equal(hueOf(name), hue);
  }
});

test("emoji are found by the beginnings of words of their names", () => {
  const all = parsed(read("../../static/emoji.txt"));
  assert.ok(all.length > 1_000);
  const names = (query) => found(all, query).map(([, name]) => name);
  assert.deepEqual(names("party").slice(0, 2), ["partying face", "party popper"]);
  assert.ok(names("part").includes("partying face"));
  assert.ok(names("red hea").includes("red heart"));
  assert.ok(names("heart")[0].startsWith("heart"));
  assert.deepEqual(names("zzz-none"), []);
  assert.ok(names("a").length <= 48);
});

test("one's own messages can be changed, those of others reported by an account", () => {
  assert.ok(offers("edit", { own: true, account: false }));
  assert.ok(!offers("delete", { own: false, account: true }));
  assert.ok(offers("report", { own: false, account: true }));
  assert.ok(!offers("report", { own: true, account: true }));
  assert.ok(!offers("report", { own: false, account: false }));
  assert.ok(offers("reply", { own: false, account: false }));
});

test("a menu is beside what opened it, and inside the window", () => {
  const space = { width: 320, height: 400 };
  const box = { width: 240, height: 300 };
  const anchor = (left, top) => ({ left, right: left + 30, top, bottom: top + 30 });
  assert.deepEqual(corner(anchor(250, 20), box, space), { left: 40, top: 54 });
  assert.deepEqual(corner(anchor(250, 350), box, space), { left: 40, top: 46 });
  assert.deepEqual(corner(anchor(30, 350), box, space), { left: 30, top: 46 });
  // Neither above nor below there is room: inside all the same.
  assert.deepEqual(corner(anchor(0, 180), { width: 400, height: 390 }, space), { left: 4, top: 4 });
});

test("a name that is taken leads to another one", () => {
  assert.equal(nextName("Bo"), "Bo 2");
  assert.equal(nextName("Bo 2"), "Bo 3");
  assert.equal(nextName("R2 D2"), "R2 D2 2");
  assert.ok([...nextName("W".repeat(40))].length <= 40);
});

test("near its limit a text says how much is left", () => {
  assert.equal(leftOver("x".repeat(3799), 4000), "");
  assert.equal(leftOver("x".repeat(3800), 4000), "200");
  assert.equal(leftOver("x".repeat(4000), 4000), "0");
  assert.equal(leftOver("x".repeat(4001), 4000), "");
  assert.equal(leftOver("x".repeat(25), 40), "");
});

test("what was missed is counted, although it is not loaded", () => {
  assert.deepEqual(missedOf({ read: 10, messages: 16, loaded: 6, more: false }), { count: 6, exact: true });
  assert.deepEqual(missedOf({ read: 10, messages: 7010, loaded: 50, more: true }), { count: 7000, exact: true });
  // A browser that kept no count, and a room that was restored from a backup.
  assert.deepEqual(missedOf({ read: NaN, messages: 80, loaded: 50, more: true }), { count: 50, exact: false });
  assert.deepEqual(missedOf({ read: 90, messages: 80, loaded: 50, more: true }), { count: 50, exact: false });
  assert.deepEqual(missedOf({ read: 10, messages: 10, loaded: 0, more: true }), { count: 0, exact: true });
});

test("a few letters lead to a room or a person", () => {
  const all = ["team", "steam", "ops-team", "design"].map((label) => ({ label }));
  assert.deepEqual(
    fitting(all, "team").map(({ label }) => label),
    ["team", "ops-team", "steam"],
  );
  assert.equal(fitting(all, "").length, 4);
  assert.deepEqual(fitting([{ label: "ops", title: "The machines" }], "mach").length, 1);
});

test("Alt and the arrows go to the next room, around the end, and to the next with news", () => {
  const rooms = [{ label: "a" }, { label: "b", current: true }, { label: "c" }, { label: "d", news: true }];
  assert.equal(neighbourOf(rooms, 1).label, "c");
  assert.equal(neighbourOf(rooms, -1).label, "a");
  assert.equal(neighbourOf(rooms, 1, true).label, "d");
  assert.equal(neighbourOf(rooms.slice(0, 3), 1, true), null);
  assert.equal(neighbourOf([], 1), null);
  assert.equal(neighbourOf([{ label: "a", current: true }], 1), null);
  const key = (more) => ({ key: "ArrowDown", altKey: true, ...more });
  assert.equal(commandOf(key()), "next");
  assert.equal(commandOf(key({ shiftKey: true })), "next-unread");
  assert.equal(commandOf({ key: "k", ctrlKey: true }), "switch");
  assert.equal(commandOf({ key: "k" }), null);
});

test("names are offered behind an @ that follows no word", () => {
  const at = (text) => soughtIn(text, text.length);
  assert.equal(at("hello @Bo"), "Bo");
  assert.equal(at("@"), "");
  assert.equal(at("@Chloé Du"), "Chloé Du");
  assert.equal(at("a@b"), null);
  assert.equal(at("@ x"), null);
  assert.equal(at("none"), null);
  assert.deepEqual(namesFor("du", ["Chloé Dubois", "Duncan", "Bo"]), ["Chloé Dubois", "Duncan"]);
  assert.deepEqual(namesFor("bo", ["Bo"]), []);
});

test("a run ends five minutes after its first message, with another author, and with an answer", () => {
  const at = (minute) => `2026-11-28T10:${String(minute).padStart(2, "0")}:00Z`;
  const before = { user: "Bo", run: at(0) };
  assert.ok(goesOn(before, { user: "Bo", at: at(4), answers: false }));
  assert.ok(!goesOn(before, { user: "Bo", at: at(5), answers: false }));
  assert.ok(!goesOn(before, { user: "Ada", at: at(1), answers: false }));
  assert.ok(!goesOn(before, { user: "Bo", at: at(1), answers: true }));
});

test("a page that is told of the end of its session asks if the browser has another cookie of it", async () => {
  const says = (answers) => ({ get: async () => answers.shift() ?? Promise.reject(new Error("refused")) });
  assert.equal(await isSignedIn(says([{ account: { name: "Azin" } }]), 1), true);
  assert.equal(await isSignedIn(says([{}, { account: { name: "Azin" } }]), 1), true, "the answer came a moment later");
  assert.equal(await isSignedIn(says([]), 1), false);
});

test("what was read of a log that has begun anew is forgotten", () => {
  globalThis.addEventListener ??= () => {}; // of a page
  for (const [head, before] of [
    [1_000, 1_000],
    [1_001, 1_000],
    [3, Infinity],
  ]) {
    for (const [key, value] of Object.entries({ read: 1_000, "read-n": 900, "read-at": "2026-01-01" }))
      save(`${key}:tea`, value);
    const unread = new Unread("tea", () => true, { head, messages: 3 });
    assert.equal(unread.before, before);
    assert.equal(load("read-n:tea"), before === Infinity ? null : 900);
  }
});

test("a new snapshot is asked for until it comes, or the room has gone meanwhile", async () => {
  const snapshot = { messages: [], cursor: "1.0" };
  for (const [code, status, news] of [
    ["overloaded", 503, []],
    ["room-unknown", 404, ["gone"]],
    ["unauthenticated", 401, ["signed-out"]],
  ]) {
    const problem = new Problem({ code, status });
    const answers = [Promise.reject(problem), Promise.resolve(snapshot)];
    const heard = [];
    const connection = new EventTarget();
    for (const type of ["gone", "signed-out"])
      connection.addEventListener(type, ({ detail }) => heard.push(type) && assert.equal(detail, problem));
    const page = { connection, api: { snapshot: () => answers.shift() }, tell: () => {} };
    assert.equal(await refreshed(page), news.length ? null : snapshot);
    assert.deepEqual(heard, news);
  }
});
