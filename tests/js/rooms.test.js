import assert from "node:assert/strict";
import { test } from "node:test";
import { Rooms } from "../../static/js/rooms.js";

const listens = () => ({
  heard: {},
  addEventListener(kind, callback) {
    this.heard[kind] = callback;
  },
});

/** A list of rooms that is shown nowhere, and a server that has `rooms`. */
function stage(rooms) {
  const shown = [];
  const asked = [];
  const menu = { ...listens(), querySelector: () => ({ children: [] }) };
  const page = { ...listens(), visibilityState: "visible" };
  const server = { rooms, tag: '"1"' };
  const fetch = async (url, { headers }) => {
    asked.push(headers["If-None-Match"]);
    if (headers["If-None-Match"] === server.tag) return { status: 304 };
    return { status: 200, headers: new Map([["ETag", server.tag]]), json: async () => ({ rooms: server.rooms }) };
  };
  const list = new Rooms(menu, { url: "/api/v1/rooms", fetch, page });
  list.show = (found) => shown.push(found.map(({ name }) => name));
  return { list, menu, page, server, shown, asked };
}

const settled = () => new Promise((done) => setTimeout(done));

test("the list is asked for when the menu opens and when the tab is seen, and shown if it changed", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const { menu, page, server, shown, asked } = stage([{ name: "lobby" }]);
  menu.heard.toggle({ newState: "open" });
  await settled();
  page.heard.visibilitychange();
  await settled();
  assert.deepEqual([shown, asked], [[["lobby"]], [undefined, '"1"']]);
  Object.assign(server, { rooms: [{ name: "lobby" }, { name: "tea" }], tag: '"2"' });
  context.mock.timers.tick(30_000);
  await settled();
  assert.deepEqual(shown.at(-1), ["lobby", "tea"]);
  menu.heard.toggle({ newState: "closed" });
  context.mock.timers.tick(120_000);
  await settled();
  assert.equal(asked.length, 3);
});

test("what is not to be had changes nothing", async () => {
  const { list, shown } = stage([]);
  list.fetch = async () => {
    throw new TypeError("Failed to fetch");
  };
  await list.refresh();
  list.fetch = async () => ({ status: 503 });
  await list.refresh();
  assert.deepEqual(shown, []);
});
