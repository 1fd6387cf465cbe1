// The small decisions of the pages, without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { curlLine } from "../../static/js/actions.js";
import { spoken } from "../../static/js/announcer.js";
import { Backoff } from "../../static/js/backoff.js";
import { dayName } from "../../static/js/dates.js";
import { shortened } from "../../static/js/excerpt.js";
import { newId } from "../../static/js/ids.js";
import { marked } from "../../static/js/markup.js";
import { Mine } from "../../static/js/mine.js";
import { pillText } from "../../static/js/pill.js";
import { entriesOf, Timeline } from "../../static/js/timeline.js";
import { sent } from "./fakes.js";

test("back-off doubles to its ceiling, is jittered in full, and honours what the server asks", () => {
  const most = new Backoff({ min: 500, max: 30_000, random: () => 1 });
  assert.deepEqual(
    Array.from({ length: 8 }, () => most.next()),
    [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000],
  );
  most.reset();
  assert.equal(most.next(1000), 1750);
  const least = new Backoff({ random: () => 0 });
  assert.deepEqual([least.next(), least.next(900)], [0, 900]);
});

test("applying any event twice changes nothing", () => {
  const events = [
    sent(1),
    sent(2),
    { command: "reactions-changed", message: { id: 1, likes: 2, dislikes: 0 } },
    { command: "message-edited", message: { id: 1, user: "Ada", message: "new", edited_at: "2026-01-01T00:01:00Z" } },
    { command: "message-deleted", message: { id: 2 } },
  ];
  const once = new Timeline();
  const twice = new Timeline();
  for (const event of events) {
    once.apply(event);
    twice.apply(event);
    twice.apply(event);
  }
  assert.deepEqual(twice.messages, once.messages);
  assert.equal(once.get(1).message, "new");
  assert.equal(once.get(1).likes, 2);
  assert.deepEqual(once.get(2), { id: 2, user: "Ada", at: "2026-01-01T00:00:00.000Z", deleted: true });
});

test("an edit that takes the formatting away leaves no old runs", () => {
  const timeline = new Timeline([{ id: 1, user: "Ada", message: "**a**", runs: [{ text: "a", bold: true }], at: "x" }]);
  timeline.apply({ command: "message-edited", message: { id: 1, user: "Ada", message: "a" } });
  assert.equal(timeline.get(1).runs, undefined);
  assert.equal(timeline.get(1).at, "x");
});

test("a change of a message that is not loaded, or of an unknown kind, shows nothing", () => {
  const timeline = new Timeline();
  const nothing = { added: null, changed: [] };
  assert.deepEqual(timeline.apply({ command: "message-deleted", message: { id: 7 } }), nothing);
  assert.deepEqual(timeline.apply({ command: "something-new" }), nothing);
});

test("deleting a message takes its words out of the replies to it", () => {
  const timeline = new Timeline([
    { id: 1, user: "Ada", message: "secret" },
    { id: 2, user: "Bo", message: "yes", reply_to: { id: 1, user: "Ada", excerpt: "secret" } },
  ]);
  const { changed } = timeline.apply({ command: "message-deleted", message: { id: 1 } });
  assert.deepEqual(
    changed.map(({ id }) => id),
    [1, 2],
  );
  assert.deepEqual(timeline.get(2).reply_to, { id: 1, user: "Ada", deleted: true });
});

test("editing a message changes what replies show of it", () => {
  const timeline = new Timeline([
    { id: 1, user: "Ada", message: "secret" },
    { id: 2, user: "Bo", message: "yes", reply_to: { id: 1, user: "Ada", excerpt: "secret" } },
  ]);
  const message = {
    id: 1,
    user: "Ada",
    message: "**new**\n words",
    runs: [{ text: "new", bold: true }, { text: "\n words" }],
  };
  const { changed } = timeline.apply({ command: "message-edited", message });
  assert.deepEqual(
    changed.map(({ id }) => id),
    [1, 2],
  );
  assert.deepEqual(timeline.get(2).reply_to, { id: 1, user: "Ada", excerpt: "new words" });
});

test("a text is cut between characters as people see them", () => {
  const flag = "\u{1F1EC}\u{1F1E7}";
  const england = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
  for (const sign of [flag, "👍🏽", england, "e\u0301"]) {
    const start = "a".repeat(78);
    assert.equal(shortened(`${start}${sign}${sign}`), `${start}…`);
  }
  assert.equal(shortened(`${"a".repeat(119)}😀`, 120), `${"a".repeat(119)}😀`);
  assert.equal(shortened("a".repeat(80)), "a".repeat(80));
});

test("a quote stands in the log where it was added, live and in a snapshot alike", () => {
  const quote = { id: 7, quote: "Less is more.", author: "Mies", at: "x" };
  const live = new Timeline();
  live.apply({ command: "quote-added", seq: 3, at: "x", quote });
  assert.equal(live.apply({ command: "quote-added", seq: 3, at: "x", quote }).added, null);
  const loaded = new Timeline(entriesOf({ messages: [], quotes: [{ ...quote, seq: 3 }] }));
  assert.equal(loaded.entries[0].id, live.entries[0].id);
  assert.equal(loaded.get(3).quote.quote, live.get(3).quote.quote);
  assert.deepEqual(live.messages, []);
});

test("what is mine is told by the server and grows here", () => {
  const mine = new Mine({ messages: [1], reactions: { 2: "like" } });
  mine.wrote(3);
  assert.deepEqual(
    [1, 2, 3].map((id) => mine.isOwn(id)),
    [true, false, true],
  );
  mine.reacted(2, "none");
  mine.reacted(1, "dislike");
  assert.deepEqual([mine.reaction(1), mine.reaction(2)], ["dislike", "none"]);
});

test("marking twice gives the text back", () => {
  const once = marked("say hi now", 4, 6, "**");
  assert.deepEqual(once, { text: "say **hi** now", start: 6, end: 8 });
  assert.deepEqual(marked(once.text, once.start, once.end, "**"), { text: "say hi now", start: 4, end: 6 });
});

test("the pill tells state, transport, completeness and what waits", () => {
  assert.equal(pillText({ state: "live", transport: "websocket", seq: 42 }), "Live · WebSocket · complete to #42");
  assert.equal(
    pillText({ state: "waiting", transport: "long-poll", seq: 1, retryIn: 2100 }, 1),
    "Reconnecting in 3 s · long poll · 1 waiting",
  );
  assert.equal(pillText({ state: "offline" }, 2), "Offline · 2 waiting");
});

test("a curl line reads on from a message", () => {
  assert.equal(
    curlLine("http://h/api/v1/rooms/lobby", 42),
    "curl -N -H 'Accept: application/x-ndjson' 'http://h/api/v1/rooms/lobby/events?after=42'",
  );
});

test("what is spoken has no markers", () => {
  assert.equal(spoken({ user: "Ada", message: "**hi**", runs: [{ text: "hi", bold: true }] }), "Ada: hi");
  assert.equal(spoken({ user: "Ada", message: "hi" }), "Ada: hi");
  assert.equal(spoken({ quote: { quote: "Less", author: "Mies" } }), "Quote: Less. Mies");
});

test("days have names, and ids are 32 hex digits without crypto.randomUUID", () => {
  const now = new Date(2026, 2, 1, 0, 5);
  assert.equal(dayName(new Date(2026, 2, 1), now), "Today");
  assert.equal(dayName(new Date(2026, 1, 28, 23, 59), now), "Yesterday");
  assert.match(newId(), /^[0-9a-f]{32}$/);
});
