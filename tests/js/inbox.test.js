// The inbox as a client keeps it: absolute values, over a socket and beside polls.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { afterEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { connect } from "../../static/js/client.js";
import { followInbox, Inbox } from "../../static/js/reader/inbox.js";
import { cursorOf, Server, until } from "./fakes.js";

let open = [];
afterEach(() => {
  open.forEach((connection) => connection.close());
  open = [];
});

const READ = { id: 2, messages: 2 };

test("whole ones replace, parts and news change, and what is gone goes", () => {
  const inbox = new Inbox();
  inbox.apply({ cursor: "1.a", complete: true, rooms: { tea: { last: 2, messages: 2, read: READ }, old: {} } });
  assert.ok(inbox.apply({ command: "news", rooms: { tea: { last: 5, messages: 4 } } }));
  assert.deepEqual(inbox.rooms.tea, { last: 5, messages: 4, read: READ, unread: 2 });
  inbox.apply({ command: "news", rooms: { tea: { last: 2, messages: 4 } } });
  assert.equal(inbox.rooms.tea.unread, undefined);
  inbox.apply({ command: "inbox", cursor: "2.b", rooms: { cake: { mentions: 1 } }, gone: ["old"] });
  assert.deepEqual(Object.keys(inbox.rooms), ["tea", "cake"]);
  assert.equal(inbox.apply({ cursor: "2.b", rooms: {} }), false);
  assert.equal(inbox.cursor, "2.b");
});

test("while it cannot be asked for, nothing piles up", async () => {
  const control = new AbortController();
  let asked = 0;
  const inbox = async () => {
    asked += 1;
    throw new TypeError("fetch failed");
  };
  const done = followInbox({ api: { inbox }, interval: 1, inboxCursor: () => "0" }, control.signal);
  await until(() => asked > 20);
  assert.ok(getEventListeners(control.signal, "abort").length < 3);
  control.abort();
  await done;
});

test("after an early answer it is not asked for again before the server says so", async () => {
  const control = new AbortController();
  let asked = 0;
  const inbox = async () => {
    await turn();
    asked += 1;
    return { cursor: "0", rooms: {}, retry_in_ms: 600_000 };
  };
  const done = followInbox({ api: { inbox }, inboxCursor: () => "0", inboxTold: () => {} }, control.signal);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  control.abort();
  await done;
  assert.equal(asked, 1);
});

const follow = (server, api, transport) => {
  const connection = connect({
    after: cursorOf(0),
    api: { ...server.api, ...api },
    WebSocket: server.WebSocket,
    origin: "http://test",
    interval: 5,
    transports: [transport],
    inbox: true,
  });
  open.push(connection);
  connection.told = [];
  for (const type of ["inbox", "news"]) connection.addEventListener(type, () => connection.told.push(type));
  return connection;
};

test("over a socket it subscribes, and says what came", async () => {
  const server = new Server();
  const page = follow(server, {}, "websocket");
  await until(() => page.state === "live");
  const [socket] = server.sockets;
  assert.deepEqual(socket.sent[0], { command: "subscribe", room: "@inbox", after: "0" });
  socket.tell({ command: "inbox", cursor: "1.a", complete: true, rooms: { tea: { messages: 1 } } });
  socket.tell({ command: "caught-up", room: "@inbox", cursor: "1.a" });
  socket.tell({ command: "news", rooms: { tea: { last: 2, messages: 2 } } });
  assert.deepEqual(page.told, ["inbox", "news", "inbox"]);
  assert.deepEqual([page.inbox.cursor, page.inbox.rooms.tea.messages], ["1.a", 2]);
});

test("where it polls, it asks for the inbox from its cursor on", async () => {
  const asked = [];
  const inbox = async (after, { signal }) => {
    asked.push(after);
    if (asked.length > 1)
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return { cursor: "1.a", complete: true, rooms: { tea: {} } };
  };
  const page = follow(new Server(), { inbox }, "long-poll");
  await until(() => asked.length === 2);
  assert.deepEqual([asked, page.told], [["0", "1.a"], ["inbox"]]);
});
