// The promise of the pages: every event once and in order, whatever happens to the transport.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { afterEach, test } from "node:test";
import { Api, connect } from "../../static/js/client.js";
import { stream } from "../../static/js/transports/stream.js";
import { cursorOf, sent, Server, until } from "./fakes.js";

let open = [];
afterEach(() => {
  open.forEach((connection) => connection.close());
  open = [];
});

function reader(server, options = {}) {
  const connection = connect({
    after: cursorOf(0),
    api: server.api,
    WebSocket: server.WebSocket,
    origin: "http://test",
    backoff: { min: 2, max: 20 },
    interval: 5,
    betterAfter: 30,
    ...options,
  });
  open.push(connection);
  connection.seen = [];
  connection.states = [];
  connection.addEventListener("event", ({ detail }) => connection.seen.push(detail.seq));
  connection.addEventListener("status", ({ detail }) => connection.states.push(`${detail.transport} ${detail.state}`));
  return connection;
}
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

for (const transport of ["websocket", "long-poll", "short-poll"]) {
  test(`${transport}: all events, once, in order, through an outage`, async () => {
    const server = new Server();
    server.say(3);
    const page = reader(server, { transports: [transport] });
    await until(() => page.seen.length === 3);
    server.kill();
    server.say(2);
    await until(() => page.states.some((state) => state.endsWith("waiting")));
    server.up = true;
    server.say(2);
    await until(() => page.seen.length >= 7);
    assert.deepEqual(page.seen, upTo(7));
  });
}

test("falls back to polling where WebSockets are refused, and misses nothing", async () => {
  const server = new Server();
  server.socketsAllowed = false;
  server.say(2);
  const page = reader(server, { betterAfter: 10_000 });
  await until(() => page.state === "live" && page.transport === "long-poll");
  server.say(2);
  await until(() => page.seen.length === 4);
  assert.deepEqual(page.seen, upTo(4));
});

test("returns to the WebSocket with the same cursor, and repeats nothing", async () => {
  const server = new Server();
  server.socketsAllowed = false;
  const page = reader(server);
  await until(() => page.transport === "long-poll" && page.state === "live");
  server.say(2);
  server.socketsAllowed = true;
  await until(() => page.transport === "websocket" && page.state === "live");
  server.say(2);
  await until(() => page.seen.length === 4);
  assert.deepEqual(page.seen, upTo(4));
});

test("ignores a repeat, and at a gap drops the connection and resumes from its cursor", async () => {
  const server = new Server();
  server.say(2);
  const page = reader(server, { transports: ["websocket"] });
  await until(() => page.seen.length === 2);
  const [socket] = server.sockets;
  socket.tell(sent(2));
  server.log.push(sent(3), sent(4));
  socket.tell(sent(4));
  await until(() => page.seen.length === 4);
  assert.deepEqual(page.seen, upTo(4));
  assert.ok(!server.sockets.has(socket), "the socket with the gap was given up");
});

/** A stream of lines, as `stream` reads it: what is kept, and where that ends. */
const streaming =
  (server) =>
  async (url, { signal }) => {
    await new Promise((resolve) => {
      setTimeout(resolve);
    });
    const start = server.start(new URL(url, "http://test").searchParams.get("after"));
    const events = server.log.slice(start);
    const lines = [...events, { command: "caught-up", cursor: cursorOf(start + events.length) }];
    const body = new ReadableStream({
      start: (out) => {
        lines.forEach((line) => out.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`)));
        signal.addEventListener("abort", () => out.error(signal.reason));
      },
    });
    return new Response(body, { headers: { "Content-Type": "application/x-ndjson" } });
  };

for (const transport of ["websocket", "long-poll", "short-poll", "ndjson"]) {
  const from0 = (server) =>
    reader(server, {
      after: "0",
      transports: [transport],
      api: { ...server.api, fetch: streaming(server) },
      more: { ndjson: stream("ndjson") },
    });

  test(`${transport}: 0 is the oldest event kept, whatever its number`, async () => {
    const server = new Server();
    server.say(22);
    server.floor = 20;
    const page = from0(server);
    await until(() => page.state === "live");
    assert.deepEqual(page.seen, [21, 22]);
    assert.equal(page.cursor, cursorOf(22));
    server.say(1);
    if (transport !== "ndjson") await until(() => page.seen.at(-1) === 23);
    assert.ok(!page.states.some((state) => state.endsWith("waiting")), "nothing was wrong");
  });

  test(`${transport}: from 0 in a room of which nothing is kept, the cursor is the one that the server tells`, async () => {
    const server = new Server();
    server.say(20);
    server.floor = 20;
    const page = from0(server);
    await until(() => page.state === "live");
    assert.equal(page.cursor, cursorOf(20));
    server.say(1);
    if (transport !== "ndjson") await until(() => page.seen.length);
    assert.deepEqual(page.seen, transport === "ndjson" ? [] : [21]);
  });
}

test("from 0, what another tab was told is no beginning: the tab asks for what comes before it", async () => {
  const server = new Server();
  server.say(23);
  server.floor = 20;
  let answer = null;
  const asked = new Promise((resolve) => {
    answer = resolve;
  });
  const events = (after, options) => asked.then(() => server.api.events(after, options));
  let channel = null;
  const Channel = class {
    constructor() {
      channel = this;
    }
    close() {}
  };
  // The other tab has it.
  const locks = {
    request: (_name, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  };
  const page = reader(server, {
    after: "0",
    transports: ["long-poll"],
    api: { ...server.api, events },
    locks,
    Channel,
  });
  await until(() => channel?.onmessage);
  channel.onmessage({ data: { events: [sent(23)], cursor: cursorOf(23) } });
  assert.deepEqual(page.seen, []);
  answer();
  await until(() => page.seen.length === 3);
  assert.deepEqual(page.seen, [21, 22, 23]);
});

for (const transport of ["websocket", "long-poll", "short-poll", "ndjson"]) {
  test(`${transport}: what stays missing is asked for at once, then after a pause as after any failure`, async () => {
    const server = new Server();
    server.log.push(sent(1), sent(3));
    const asked = [];
    const { start } = server;
    server.start = (after) => {
      asked.push(after);
      return start.call(server, after);
    };
    const page = reader(server, {
      transports: [transport],
      api: { ...server.api, fetch: streaming(server) },
      more: { ndjson: stream("ndjson") },
      backoff: { min: 600_000, max: 600_000, random: () => 1 },
    });
    await until(() => page.state === "waiting");
    assert.deepEqual(page.seen, [1]);
    assert.deepEqual(asked, [cursorOf(0), cursorOf(1)]);
  });
}

test("resumes when it stays behind the heartbeat twice, not once", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  const [socket] = await until(() => server.sockets.size && [...server.sockets]);
  server.log.push(sent(1));
  socket.tell({ command: "heartbeat", cursors: { lobby: cursorOf(1) } });
  assert.ok(server.sockets.has(socket));
  socket.tell({ command: "heartbeat", cursors: { lobby: cursorOf(1) } });
  await until(() => page.seen.length === 1);
  assert.ok(!server.sockets.has(socket));
});

test("a connection that says nothing is given up", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"], silence: 30 });
  const reasons = [];
  page.addEventListener("status", ({ detail: { reason } }) => reason && reasons.push(reason));
  await until(() => reasons.length);
  assert.equal(reasons[0], "Nothing was heard.");
  assert.deepEqual(page.seen, []);
});

test("a reset stops the reading and tells the page; a new cursor starts it again", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  let told = null;
  page.addEventListener("reset", ({ detail }) => {
    told = detail.code;
  });
  const [socket] = await until(() => server.sockets.size && [...server.sockets]);
  server.say(5);
  socket.tell({ command: "reset", room: "lobby", error: { code: "history-changed", status: 410 } });
  assert.equal(await until(() => told), "history-changed");
  page.resume(cursorOf(3));
  server.say(1);
  await until(() => page.seen.at(-1) === 6);
});

test("a room that is unknown now is gone: reading stops, and nothing asks for a snapshot", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  const told = [];
  for (const name of ["gone", "reset"]) page.addEventListener(name, ({ detail }) => told.push([name, detail.code]));
  const [socket] = await until(() => server.sockets.size && [...server.sockets]);
  socket.tell({ command: "reset", room: "lobby", error: { code: "room-unknown", status: 404 } });
  await until(() => page.state === "stopped");
  assert.deepEqual(told, [["gone", "room-unknown"]]);
});

test("the answer of an asked command is its ack; a lost socket rejects it", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  await until(() => page.canAsk);
  server.answer = (socket, { client_id }) => socket.tell({ command: "ack", client_id, seq: 9 });
  assert.equal((await page.ask({ command: "send-message", client_id: "a" })).seq, 9);
  server.answer = (socket, { client_id }) =>
    socket.tell({ command: "error", client_id, error: { code: "rate-limited", status: 429, retry_in_ms: 700 } });
  await assert.rejects(page.ask({ command: "send-message", client_id: "b" }), { code: "rate-limited", retryIn: 700 });
  server.answer = () => server.kill();
  await assert.rejects(page.ask({ command: "send-message", client_id: "c" }));
});

test("changing the transport keeps the cursor", async () => {
  const server = new Server();
  server.say(2);
  const page = reader(server, { transports: ["long-poll"] });
  await until(() => page.seen.length === 2);
  page.use(["short-poll"]);
  server.say(1);
  await until(() => page.seen.length === 3);
  assert.ok(
    server.asked.every(
      ({ after }, i, all) => i === 0 || Number.parseInt(after, 10) >= Number.parseInt(all[i - 1].after, 10),
    ),
  );
  assert.deepEqual(page.seen, upTo(3));
});

test("a connection is an async iterator, from its first event on", async () => {
  const server = new Server();
  server.say(3);
  const page = reader(server, { transports: ["long-poll"] });
  const seen = [];
  for await (const event of page) {
    seen.push(event.seq);
    if (seen.length === 3) server.say(2);
    if (seen.length === 5) page.close();
  }
  assert.deepEqual(seen, upTo(5));
});

test("the iterator throws where reading stops, after what came before", async () => {
  const server = new Server();
  server.say(1);
  const page = reader(server, { transports: ["websocket"] });
  const seen = [];
  const reading = (async () => {
    for await (const event of page) seen.push(event.seq);
  })();
  const [socket] = await until(() => server.sockets.size && [...server.sockets]);
  socket.tell({ command: "reset", room: "lobby", error: { code: "history-changed", status: 410 } });
  await assert.rejects(reading, { code: "history-changed" });
  assert.deepEqual(seen, [1]);
});

test("leaving the loop leaves the connection open, and another loop goes on", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  await until(() => page.state === "live");
  server.say(1);
  const first = page[Symbol.asyncIterator]();
  server.say(1);
  assert.equal((await first.next()).value.seq, 2);
  await first.return();
  const second = page[Symbol.asyncIterator]();
  server.say(1);
  assert.equal((await second.next()).value.seq, 3);
  await second.return();
});

test("send goes over the open socket, and by POST where there is none, under one client_id until it is answered", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  await until(() => page.canAsk);
  const asked = [];
  server.answer = (socket, envelope) => {
    asked.push(envelope);
    socket.tell({ command: "ack", client_id: envelope.client_id, seq: 7 });
  };
  const envelope = { command: "send-message", message: { user: "Ada", message: "hello" } };
  assert.equal((await page.send(envelope)).seq, 7);
  assert.match(asked[0].client_id, /^[0-9a-f]{32}$/);

  const polling = reader(server, { transports: ["long-poll"] });
  const posted = [];
  polling.api = {
    ...polling.api,
    room: "lobby",
    command: async (each) => {
      posted.push(each.client_id);
      if (posted.length < 2) throw new TypeError("fetch failed");
      return { command: "ack", seq: 8 };
    },
  };
  assert.equal((await polling.send(envelope)).seq, 8);
  assert.equal(new Set(posted).size, 1);
});

test("commands about one message are sent one after the other, others at once", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["long-poll"] });
  const posted = [];
  const answers = [];
  page.api = {
    room: "lobby",
    command: ({ message }) => {
      posted.push(message.message ?? message.reaction);
      return new Promise((resolve, reject) => answers.push({ resolve, reject }));
    },
  };
  const react = (reaction) => page.send({ command: "react", message: { id: 1, reaction } });
  const first = react("like");
  const second = react("none");
  const other = page.send({ command: "edit-message", message: { id: 2, message: "other" } });
  await until(() => posted.length === 2);
  assert.deepEqual(posted, ["like", "other"]);
  answers[1].resolve({ seq: 1 });
  await other;
  answers[0].reject(new TypeError("fetch failed"));
  await until(() => posted.length === 3);
  assert.deepEqual(posted, ["like", "other", "like"]);
  answers[2].resolve({ seq: 2 });
  await first;
  await until(() => posted.length === 4);
  answers[3].resolve({ seq: 3 });
  assert.equal((await second).seq, 3);
  assert.deepEqual(posted, ["like", "other", "like", "none"]);
});

test("a doubted connection is checked: live again with the answer, given up without one", async () => {
  const server = new Server();
  const page = reader(server, { transports: ["websocket"] });
  await until(() => page.state === "live");
  server.answer = (socket, { command }) => setTimeout(() => command === "ping" && socket.tell({ command: "pong" }), 5);
  page.check();
  assert.equal(page.state, "checking");
  await until(() => page.state === "live");
});

test("long polling needs no AbortSignal.any", async () => {
  const { any } = AbortSignal;
  delete AbortSignal.any;
  try {
    const server = new Server();
    const page = reader(server, {
      transports: ["long-poll"],
      locks: oneLock,
      Channel: BroadcastChannel,
    });
    server.say(2);
    await until(() => page.seen.length === 2 && page.state === "live");
    page.use(["short-poll"]);
    server.say(1);
    await until(() => page.seen.length === 3);
  } finally {
    AbortSignal.any = any;
  }
});

test("a pause leaves nothing behind in what outlives it", async () => {
  const server = new Server();
  const signals = new Set();
  const api = { ...server.api, events: (after, about) => (signals.add(about.signal), server.api.events(after, about)) };
  reader(server, { api, transports: ["short-poll"], interval: 1 });
  await until(() => server.asked.length > 20);
  for (const signal of signals) assert.ok(getEventListeners(signal, "abort").length < 5);
});

const oneLock = { request: (_name, _options, run) => run() };

test("a url with a path leads everything, with or without its last slash", async () => {
  const asked = [];
  const fetch = async (url) => {
    asked.push(String(url));
    return new Response(JSON.stringify({ events: [], cursor: cursorOf(0), more: false }));
  };
  for (const url of ["https://chat.example/team", "https://chat.example/team/"]) {
    const api = new Api({ url, room: "tea", fetch });
    await api.snapshot();
    const opened = [];
    const WebSocket = class {
      constructor(address) {
        opened.push(String(address));
      }
      close() {}
    };
    const page = connect({ url, room: "tea", after: "0", transports: ["websocket"], WebSocket });
    open.push(page);
    assert.deepEqual(await until(() => opened.length && opened), [
      "wss://chat.example/team/api/v1/ws?room=tea&after=0",
    ]);
  }
  assert.deepEqual(new Set(asked), new Set(["https://chat.example/team/api/v1/rooms/tea?limit=50"]));
});
