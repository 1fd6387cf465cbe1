// The lab: its numbers, its sentences, its network, and the readers that it measures.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { connect } from "../../static/js/client.js";
import { Arm } from "../../static/js/lab/arm.js";
import { Account, Ledger } from "../../static/js/lab/ledger.js";
import { NaiveReader } from "../../static/js/lab/naive.js";
import { Network } from "../../static/js/lab/network.js";
import { cutTold, delayTold, lossTold, teamTold } from "../../static/js/lab/sentences.js";
import { DEFAULTS, fromQuery, toQuery } from "../../static/js/lab/settings.js";
import {
  chunkBytes,
  csv,
  decodeResults,
  encodeResults,
  frameBytes,
  isHeartbeat,
  markdown,
  percentile,
  shown,
  since,
  summary,
  together,
} from "../../static/js/lab/stats.js";
import { tabsOfOnePage } from "../../static/js/lab/tabs.js";
import { frameText, pollText } from "../../static/js/lab/wire.js";
import { envelopeOf, linesOf } from "../../static/js/transports/stream.js";
import { cursorOf, sent, Server, until } from "./fakes.js";

const open = [];
afterEach(() => open.splice(0).forEach((each) => each.close()));

test("percentiles by the nearest rank", () => {
  const values = [5, 1, 4, 2, 3];
  assert.deepEqual(
    [0, 0.5, 0.95, 1].map((share) => percentile(values, share)),
    [1, 3, 5, 5],
  );
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

const row = (more = {}) =>
  summary({
    name: "WebSocket",
    latencies: [1, 2, 9],
    sent: 4,
    missed: 1,
    repeated: 0,
    active: { requests: 3, in: 10, out: 500 },
    idle: { requests: 2, in: 100, out: 300, seconds: 5 },
    seconds: 30,
    ...more,
  });

test("a row counts requests a minute, bytes a message, and a minute of silence", () => {
  assert.deepEqual([row().p50, row().p95, row().max, row().missed], [2, 9, 9, 1]);
  assert.deepEqual([row().idleRequests, row().idleBytes], [24, 4800]);
  assert.deepEqual([row().perMinute, row().perMessage], [6, 127.5]);
});

test("what is not known yet is no number", () => {
  const idle = { requests: 0, in: 0, out: 0, seconds: 0 };
  const found = row({ latencies: [], sent: 0, idle, seconds: 0 });
  assert.ok([found.p50, found.idleBytes, found.perMinute, found.perMessage].every(Number.isNaN));
});

test("frames and chunks have their framing", () => {
  assert.equal(frameBytes("é", { masked: false }), 4);
  assert.equal(frameBytes("a".repeat(126), { masked: true }), 134);
  assert.equal(frameBytes("a".repeat(65_536), { masked: false }), 65_546);
  assert.equal(chunkBytes(255), 2 + 4 + 255);
});

test("a heartbeat of a stream is known from an event", () => {
  assert.ok(isHeartbeat(": heartbeat\nid: 4.ab\n\n"));
  assert.ok(isHeartbeat('{"command":"heartbeat","cursors":{"lab":"4.ab"}}\n'));
  assert.ok(!isHeartbeat(`data: ${JSON.stringify(sent(1))}\n\n`));
});

test("a count that began anew is no negative cost, and tabs cost together", () => {
  assert.deepEqual(since({ in: 10, out: 900 }, { in: 15, out: 20 }), { in: 5, out: 20 });
  const tab = { requests: 1, in: 2, out: 3, at: 4 };
  assert.deepEqual(together([tab, { ...tab, at: 9 }]), { requests: 2, in: 4, out: 6, at: 9 });
});

test("comma-separated values have a head and CRLF, a table in Markdown its rule", () => {
  assert.equal(csv([{ reader: "a", p50: 1.234, max: NaN }]), "reader,p50,max\r\na,1.2,\r\n");
  const table = "| reader | p50 |\n| --- | ---: |\n| a | 1,234 |\n";
  assert.equal(markdown([{ reader: "a", p50: 1234 }]), table);
});

test("results go into an address and come back; anything else is none", () => {
  const rows = [row(), row({ missed: 0, latencies: [] })];
  const text = encodeResults(rows);
  const back = decodeResults(text, ["One", "Two"]);
  assert.deepEqual([back[0].reader, back[0].max, back[0].missed, back[0].perMessage], ["One", 9, 1, 128]);
  const shownOf = (value) => shown(decodeResults(encodeResults([row({ latencies: [value] })]), ["One"])[0].p50);
  for (const value of [100_672.46, 9.96, 9.04, 1_000.5, 0.05]) assert.equal(shownOf(value), shown(value));
  assert.ok(Number.isNaN(back[1].p50));
  for (const odd of ["", "1;2", text + ";", text.replace("9", "x"), text.replace("9", "-9")]) {
    assert.equal(decodeResults(odd, ["One", "Two"]), null, odd);
  }
});

test("settings go into an address and come back; what is no choice is the default", () => {
  const settings = { ...DEFAULTS, poll: 5_000, slow: 1, tabs: 2 };
  assert.equal(toQuery(settings), "?poll=5000&slow=1&tabs=2");
  assert.deepEqual(fromQuery(toQuery(settings)), settings);
  assert.deepEqual(fromQuery("?poll=7&rate=&delay=1e2&lasts=x&other=1"), { ...DEFAULTS, delay: 100 });
  assert.equal(toQuery(DEFAULTS), "");
});

test("the end of a cut is told in a sentence", () => {
  const readers = [
    { name: "A", lost: 0, late: 12 },
    { name: "B", lost: 0, late: 300 },
    { name: "C", lost: 7, late: 0 },
  ];
  assert.equal(
    cutTold({ seconds: 5, sent: 7, readers }),
    "Cut for 5 s, while 7 messages were sent. A and B lost 0: all came, the last 300 ms after the cut. C lost 7.",
  );
  assert.match(cutTold({ seconds: 5, sent: 6, readers }), /C lost 7, with those that were on their way\.$/);
});

test("silence is told for a hundred readers, as far as it is known", () => {
  const rows = [
    { reader: "A", idleRequests: 30, idleBytes: 30_000 },
    { reader: "B", idleRequests: NaN, idleBytes: NaN },
  ];
  assert.match(teamTold(rows), /A 1,440,000 requests and 1,440 MB\.$/);
  assert.equal(teamTold(rows.slice(1)), "");
});

test("predictions are held to what was measured", () => {
  assert.match(delayTold("0.5", { typical: 1_050, interval: 2_000 }), /that is what you said/);
  assert.match(delayTold("1", { typical: 1_050, interval: 2_000 }), /you said after a whole interval/);
  assert.equal(delayTold(undefined, { typical: 1, interval: 2 }), "");
  assert.match(lossTold("meanwhile", { cuts: 1, lost: 5, arrivedAfter: true }), /lost 5 messages: that is/);
  assert.match(lossTold("none", { cuts: 1, lost: 1, arrivedAfter: true }), /lost 1 message: you said none/);
  assert.match(lossTold("none", { cuts: 0, lost: 0, arrivedAfter: true }), /not tried/);
});

const message = (seq) => ({ ...sent(seq), message: { ...sent(seq).message, client_id: `k${seq}` } });

test("lost is what was acknowledged and is behind what has come; what is on its way is not", () => {
  const ledger = new Ledger();
  for (const number of [1, 2, 3]) {
    ledger.sending(`k${number}`, number, 10 * number);
    ledger.acknowledged(`k${number}`, number);
  }
  ledger.sending("k4", 4, 40); // no answer yet
  const account = new Account(ledger);
  assert.deepEqual(account.lost(), []);
  assert.equal(account.arrived(message(2), 25), 5);
  assert.deepEqual(
    account.lost().map(([id]) => id),
    ["k1"],
  );
  assert.equal(account.open.length, 2);
  assert.equal(account.lost(true).length, 2);
  assert.equal(account.arrived(message(2), 26), null);
  assert.deepEqual([account.repeated, account.points], [1, [[2, 5]]]);
});

test("a cut ends requests and refuses new ones until it is over", async () => {
  const server = new Server();
  const fetch = (_url, { signal }) =>
    new Promise((resolve, reject) => {
      if (server.up) setTimeout(() => resolve(new Response("{}", { headers: { "Content-Length": "2" } })), 5);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  const network = new Network(() => ({ delay: 0, slow: 0 }), { fetch });
  server.up = false;
  const held = network.fetch("/");
  await new Promise((resolve) => setTimeout(resolve, 20));
  const healed = network.cut(30);
  await assert.rejects(held, TypeError);
  await assert.rejects(network.fetch("/"), TypeError);
  await healed;
  server.up = true;
  assert.ok((await network.fetch("/")).ok);
});

test("a reader with a cursor keeps what is sent within a cut, one without loses exactly that", async () => {
  const server = new Server();
  const network = new Network(() => ({ delay: 0, slow: 0 }), { WebSocket: socketsOf(server) });
  const ours = connect({
    after: cursorOf(0),
    api: server.api,
    WebSocket: network.socketClass(),
    origin: "http://test",
    transports: ["websocket"],
    backoff: { min: 2, max: 20 },
  });
  const naive = new NaiveReader({
    api: { snapshot: async () => ({}) },
    base: "/api/v1",
    room: "lobby",
    origin: "http://test",
    WebSocket: network.socketClass(),
  });
  open.push(ours, naive);
  const seen = new Map([ours, naive].map((reader) => [reader, []]));
  for (const [reader, seqs] of seen) reader.addEventListener("event", ({ detail }) => seqs.push(detail.seq));
  await until(() => ours.state === "live" && naive.state === "live");
  server.say(2);
  await until(() => [...seen.values()].every(({ length }) => length === 2));
  const healed = network.cut(20);
  server.say(3);
  await healed;
  for (const reader of [ours, naive]) reader.wake();
  await until(() => ours.state === "live" && naive.state === "live");
  server.say(1);
  await until(() => [...seen.values()].every((seqs) => seqs.at(-1) === 6));
  assert.deepEqual(seen.get(ours), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(seen.get(naive), [1, 2, 6]);
});

/** The fake's sockets, with "now" as a position and the states of the browser's. */
function socketsOf(server) {
  return class extends server.WebSocket {
    readyState = 1;
    constructor(url) {
      const parsed = new URL(url);
      if (parsed.searchParams.get("after") === "now") parsed.searchParams.set("after", String(server.log.length));
      super(parsed);
    }
  };
}

test("an idle socket costs its heartbeats, with a ping and a pong each, and nothing of the page's own", async (t) => {
  globalThis.location = { origin: "http://test" };
  t.after(() => delete globalThis.location);
  const server = new Server();
  const network = new Network(() => ({ delay: 0, slow: 0 }), { WebSocket: socketsOf(server) });
  const room = { base: "/api/v1", room: "lobby", after: cursorOf(0) };
  const arm = new Arm({ kind: "websocket", ...room, interval: 1000, network, ledger: new Ledger() });
  open.push(arm);
  await until(() => arm.connection.state === "live");
  const before = arm.counted;
  const heartbeat = { command: "heartbeat", cursors: { lobby: cursorOf(0) } };
  for (let beats = 0; beats < 2; beats += 1) for (const socket of server.sockets) socket.tell(heartbeat);
  const frame = frameBytes(JSON.stringify(heartbeat), { masked: false });
  const { requests, in: sentBytes, out } = arm.cost(before);
  assert.deepEqual([requests, sentBytes, out], [0, 2 * 6, 2 * (frame + 2)]);
});

test("an idle poll costs a request and its bytes for each hold, once the hold is over", async () => {
  const holds = [];
  const answer = (bytes) =>
    new Response(JSON.stringify({ events: [], cursor: cursorOf(0), more: false }), {
      headers: { "Content-Type": "application/json", "Quotechat-Bytes": bytes },
    });
  const fetch = (url, { signal }) => {
    const { searchParams } = new URL(url, "http://test");
    assert.equal(searchParams.get("measure"), "1"); // without it the server tells no bytes
    if (searchParams.get("wait") === "0") return Promise.resolve(answer("in=1, out=1"));
    return new Promise((resolve, reject) => {
      holds.push(resolve);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  };
  const network = new Network(() => ({ delay: 0, slow: 0 }), { fetch });
  const room = { base: "/api/v1", room: "lobby", after: cursorOf(0) };
  const arm = new Arm({ kind: "long-poll", ...room, interval: 1000, network, ledger: new Ledger() });
  open.push(arm);
  await until(() => holds.length === 1);
  const before = arm.counted;
  assert.deepEqual(arm.cost(before), { requests: 0, in: 0, out: 0, at: 0 });
  holds[0](answer("in=310, out=240"));
  await until(() => holds.length === 2);
  const { requests, in: sentBytes, out, at } = arm.cost(before);
  assert.deepEqual([requests, sentBytes, out], [1, 310, 240]);
  assert.ok(at > 0);
});

test("messages of a slow network come later, and in order", async () => {
  let delay = 30;
  const network = new Network(() => ({ delay, slow: 0 }));
  const way = network.way();
  const came = [];
  way(1, () => came.push("first"));
  delay = 0;
  way(1, () => came.push("second"));
  await until(() => came.length === 2);
  assert.deepEqual(came, ["first", "second"]);
  assert.equal(new Network(() => ({ delay: 10, slow: 1 })).time(8_000), 1_260);
});

test("of two tabs of a page one polls, and tells the other", async () => {
  const server = new Server();
  const shared = tabsOfOnePage();
  const tabs = [1, 2].map(() =>
    connect({ after: cursorOf(0), api: server.api, transports: ["long-poll"], interval: 5, ...shared }),
  );
  open.push(...tabs);
  const seen = tabs.map((tab) => {
    const seqs = [];
    tab.addEventListener("event", ({ detail }) => seqs.push(detail.seq));
    return seqs;
  });
  await until(() => server.asked.some(({ wait }) => wait > 0));
  server.say(2);
  await until(() => seen.every(({ length }) => length === 2));
  assert.deepEqual(seen, [
    [1, 2],
    [1, 2],
  ]);
  tabs[0].close();
  server.say(1);
  await until(() => seen[1].length === 3);
});

test("a stream is read line by line, wherever its pieces are cut", async () => {
  const text = `{"command":"heartbeat"}\n${JSON.stringify(sent(1))}é\n`;
  const bytes = new TextEncoder().encode(text);
  const pieces = [...bytes].map((byte) => Uint8Array.of(byte));
  const reader = { read: async () => ({ value: pieces.shift(), done: pieces.length === 0 }) };
  const lines = [];
  for await (const line of linesOf({ read: async () => (pieces.length ? reader.read() : { done: true }) }))
    lines.push(line);
  assert.equal(lines[0], '{"command":"heartbeat"}');
  assert.equal(envelopeOf(": heartbeat", "sse"), null);
  assert.equal(envelopeOf("id: 1.ab", "sse"), null);
  assert.equal(envelopeOf('data: {"seq":1}', "sse").seq, 1);
  assert.equal(envelopeOf("", "ndjson"), null);
});

test("a poll and a frame are shown in full", () => {
  const poll = pollText({
    url: "http://a.example/api?after=1",
    status: "200 OK",
    headers: [["Content-Length", "2"]],
    text: "{}",
    bytes: { in: 99, out: 1_234 },
  });
  assert.equal(poll.asked, "GET /api?after=1 HTTP/1.1\nHost: a.example\nAccept: application/json\n\n");
  assert.equal(poll.answered, "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}");
  assert.match(poll.note, /^99 bytes .* 1,234 bytes answered\.$/);
  assert.equal(frameText({ text: "hi", size: 4, way: "out" }).head, "81 02");
  assert.equal(frameText({ text: "a".repeat(300), size: 304, way: "out" }).head, "81 7e 01 2c");
});
