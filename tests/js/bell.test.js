// Notifications: asked for once, while nobody looks, by one tab of a room.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

/** Locks as the Web Locks have them, as far as the bell uses them. */
class Locks {
  held = new Map(); // name → how many
  async request(name, options, work = options) {
    const { ifAvailable = false, mode = "exclusive" } = work === options ? {} : options;
    const held = this.held.get(name) ?? { count: 0, mode: "shared" };
    const free = held.count === 0 || (mode === "shared" && held.mode === "shared");
    if (!free) return ifAvailable ? work(null) : new Promise(() => {});
    this.held.set(name, { count: held.count + 1, mode });
    const answer = await work({});
    this.held.set(name, { count: this.held.get(name).count - 1, mode });
    return answer;
  }
}

let shown, document, permission, asked, locks, Bell, wordsOf;
class Notification {
  static get permission() {
    return permission;
  }
  static async requestPermission() {
    asked += 1;
    permission = "granted";
    return permission;
  }
  constructor(title, options) {
    shown.push([title, options.body]);
  }
  close() {}
}
const button = () => Object.assign(new EventTarget(), { hidden: true, setAttribute() {} });
const settled = () => new Promise((done) => setTimeout(done));

function tab() {
  const own = button();
  const bell = new Bell(own, { place: "tea", room: "tea", tell: () => {}, locks, Notification });
  return { bell, button: own };
}
function look(hidden) {
  document.hidden = hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(async () => {
  [shown, permission, asked, locks] = [[], "default", 0, new Locks()];
  globalThis.document = document = Object.assign(new EventTarget(), { hidden: false });
  const kept = new Map();
  globalThis.localStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, text) => kept.set(key, text),
    removeItem: (key) => kept.delete(key),
  };
  ({ Bell, wordsOf } = await import("../../static/js/reader/bell.js"));
});

test("nothing is asked or shown before somebody wants it", async () => {
  const { bell } = tab();
  look(true);
  await settled();
  await bell.ring({ user: "Bo", message: "hello" });
  assert.equal(asked, 0);
  assert.deepEqual(shown, []);
});

test("one of two hidden tabs notifies, and none while one of them is seen", async () => {
  const tabs = [tab(), tab()];
  tabs[1].button.dispatchEvent(new Event("click"));
  await settled();
  assert.equal(asked, 1);
  const ring = () => Promise.all(tabs.map(({ bell }) => bell.ring({ user: "Bo", message: "hello" })));
  await ring();
  assert.deepEqual(shown, []);
  look(true);
  await settled();
  await ring();
  assert.deepEqual(shown, [["Bo · tea", "hello"]]);
});

test("a notification has the author, the room and the text without markers", () => {
  const runs = [{ text: "hi", bold: true }];
  assert.deepEqual(wordsOf({ user: "Bo", message: "**hi**", runs }, "tea"), { title: "Bo · tea", body: "hi" });
  assert.equal(wordsOf({ user: "Bo", message: "x".repeat(500) }, "tea").body.length, 200);
});
