// The small decisions of the pages, without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { curlLine } from "../../static/js/entries/actions.js";
import { spoken } from "../../static/js/reader/announcer.js";
import { Api } from "../../static/js/api.js";
import { Backoff } from "../../static/js/backoff.js";
import { dayName } from "../../static/js/page/dates.js";
import { shortened } from "../../static/js/page/excerpt.js";
import { Drafts } from "../../static/js/outbox/drafts.js";
import { Expected } from "../../static/js/live/expected.js";
import { Holds } from "../../static/js/live/holds.js";
import { locate } from "../../static/js/entries/history.js";
import { newId } from "../../static/js/page/ids.js";
import { lengthOf, tooLong } from "../../static/js/composer/lengths.js";
import { marked } from "../../static/js/composer/markup.js";
import { Mine } from "../../static/js/person/mine.js";
import { isQuiet, pillText } from "../../static/js/live/pill.js";
import { Problem, reasonOf } from "../../static/js/problem.js";
import { remembering } from "../../static/js/page/store.js";
import { entriesOf, Timeline } from "../../static/js/entries/timeline.js";
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

test("a page comes to a message by what it has, by loading, or by another page", () => {
  const page = { oldest: 2_000, newest: 2_100, more: true };
  assert.equal(locate(2_050, page), "here");
  assert.equal(locate(9_999, page), "here"); // there is none: nothing is loaded to say so
  assert.equal(locate(1_999, page), "near");
  assert.equal(locate(1_400, page), "near");
  assert.equal(locate(1_399, page), "page");
  assert.equal(locate(5, { ...page, more: false }), "here");
  assert.equal(locate(9_999, { ...page, past: true }), "page");
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

test("one's own emoji stand beside a like, and come and go one by one", () => {
  const mine = new Mine({ emoji: { 2: ["🎉"] } });
  mine.did({ command: "react", message: { id: 2, reaction: "👀", on: true } }, {});
  mine.did({ command: "react", message: { id: 2, reaction: "🎉", on: false } }, {});
  mine.did({ command: "react", message: { id: 2, reaction: "like" } }, {});
  assert.deepEqual([mine.hasEmoji(2, "🎉"), mine.hasEmoji(2, "👀"), mine.reaction(2)], [false, true, "like"]);
});

test("emoji of a message are those of the last event, through an edit", () => {
  const timeline = new Timeline([{ id: 1, user: "Ada", message: "a", at: "x", reactions: { "👀": 1 } }]);
  timeline.apply({ command: "reactions-changed", message: { id: 1, likes: 0, dislikes: 0, reactions: { "🎉": 2 } } });
  timeline.apply({ command: "message-edited", message: { id: 1, user: "Ada", message: "b" } });
  assert.deepEqual(timeline.get(1).reactions, { "🎉": 2 });
  timeline.apply({ command: "reactions-changed", message: { id: 1, likes: 1, dislikes: 0 } });
  assert.deepEqual(timeline.get(1).reactions, {});
});

test("what one sent oneself is expected, under one's own name only", () => {
  const expected = new Expected();
  expected.add({ client_id: "a", envelope: { command: "send-message", message: { user: "Ada", message: "x" } } });
  expected.add({ client_id: "q", envelope: { command: "add-quote", quote: { quote: "x", author: "Bo" } } });
  expected.add({ client_id: "r", envelope: { command: "react", message: { id: 1, reaction: "like" } } });
  assert.equal(expected.has({ user: "Ada", client_id: "a" }), true);
  assert.equal(expected.has({ user: "Eve", client_id: "a" }), false);
  assert.equal(expected.has({ quote: { client_id: "q" } }), true);
  assert.equal(expected.has({ user: "Ada" }), false);
  expected.delete("a");
  assert.equal(expected.has({ user: "Ada", client_id: "a" }), false);
});

test("marking twice gives the text back", () => {
  const by = (text, { from, to, by }) => text.slice(0, from) + by + text.slice(to);
  const once = marked("say hi now", 4, 6, "**");
  const text = by("say hi now", once);
  assert.deepEqual([text, once.start, once.end], ["say **hi** now", 6, 8]);
  const twice = marked(text, once.start, once.end, "**");
  assert.deepEqual([by(text, twice), twice.start, twice.end], ["say hi now", 4, 6]);
});

test("texts are counted in code points after NFC, a line end as one, as the server does", () => {
  assert.equal(lengthOf("😀".repeat(4000)), 4000);
  assert.equal(lengthOf("e\u0301\r\nx\ry"), 5);
  assert.equal(lengthOf("\u0958"), 2);
  assert.equal(tooLong("a".repeat(4000), 4000, "The message"), "");
  assert.equal(
    tooLong("a".repeat(4500), 4000, "The message"),
    "The message: 500 characters too many (4,500 of at most 4,000).",
  );
  assert.equal(tooLong("ab", 1, "The name"), "The name: 1 character too many (2 of at most 1).");
});

test("what the browser refuses to keep is kept while the page is open", () => {
  const refusing = remembering(() => {
    throw new Error("no");
  });
  refusing.save("user", "Ada");
  assert.equal(refusing.load("user"), "Ada");
  assert.deepEqual(refusing.keys("us"), ["user"]);
  refusing.save("user", null);
  assert.equal(refusing.load("user", "nobody"), "nobody");
});

/** Two storages of a browser: of all its tabs, and a new one for each tab. */
const browser = () => {
  const storage = () => {
    const kept = {};
    Object.defineProperties(kept, {
      getItem: { value: (key) => kept[key] ?? null },
      setItem: { value: (key, text) => (kept[key] = text) },
      removeItem: { value: (key) => delete kept[key] },
    });
    return kept;
  };
  const all = storage();
  return { shared: remembering(() => all), newTab: () => ((own) => remembering(() => own))(storage()) };
};

test("a draft is taken away only by the tab that sent it", () => {
  const { shared, newTab } = browser();
  const [one, two] = [newTab(), newTab()];
  const drafts = (tab) => new Drafts("lobby", { shared, tab });
  const [first, second] = [drafts(one), drafts(two)];
  first.save({ text: "of the first" });
  second.save({ text: "of the second" });
  second.save(null);
  assert.equal(drafts(one).load().text, "of the first");
  assert.deepEqual(drafts(two).load(), {}, "a tab that has sent its own takes up no other");
  assert.equal(drafts(newTab()).load().text, "of the first", "a new tab takes up what is left");
  assert.deepEqual(drafts(newTab()).load(), {}, "and only one does");
  assert.equal(drafts(one).load().text, "of the first");
});

test("a draft is of one account; a visitor's is of the account that signs in", () => {
  const { shared, newTab } = browser();
  const tab = newTab();
  const drafts = (by, where = tab) => new Drafts("lobby", { by, shared, tab: where });
  drafts("ann").save({ text: "of Ann" });
  for (const by of ["bo", undefined]) assert.deepEqual([drafts(by).load(), drafts(by, newTab()).load()], [{}, {}]);
  drafts("bo").save({ text: "of Bo" });
  drafts("bo").save(null);
  assert.equal(drafts("ann").load().text, "of Ann");
  drafts("ann").save(null);
  drafts().save({ text: "before the sign-in" });
  assert.equal(drafts("ann").load().text, "before the sign-in");
  for (const by of ["bo", undefined]) assert.deepEqual([drafts(by).load(), drafts(by, newTab()).load()], [{}, {}]);
});

test("a draft of version 0.1.0 is taken up, one of a month ago is not", () => {
  const { shared, newTab } = browser();
  shared.save("draft:lobby", "half a thou");
  assert.equal(new Drafts("lobby", { shared, tab: newTab() }).load().text, "half a thou");
  new Drafts("tea", { shared, tab: newTab(), now: () => 0 }).save({ text: "old" });
  new Drafts("tea", { shared, tab: newTab(), now: () => 40 * 86_400_000 }).load();
  assert.deepEqual(shared.keys("draft:tea"), []);
});

test("four pages of a browser hold a request, the last place is for one that is seen, and places come free", () => {
  const { shared: store } = browser();
  let now = 0;
  const page = (seen) => {
    now += 1;
    return new Holds("/api/v1", { store, now: () => now, isSeen: () => seen.is }).enter();
  };
  const seen = Array.from({ length: 6 }, () => ({ is: false }));
  const pages = seen.map(page);
  const holders = () => pages.map((each) => each.mayHold());
  assert.deepEqual(holders(), [true, true, true, true, false, false]);
  seen[5].is = true;
  assert.equal(pages[5].mayHold(), false, "the fourth still holds a request");
  assert.deepEqual(holders(), [true, true, true, false, false, true]);
  pages[0].leave();
  assert.deepEqual(
    pages.slice(1).map((each) => each.mayHold()),
    [true, true, true, false, true],
  );
  now += 70_000;
  assert.deepEqual(pages[4].mayHold(), true, "those that are not heard of for a minute are gone");
});

test("people are told what the server or we say, never the words of the browser", () => {
  assert.equal(reasonOf(new TypeError("Failed to fetch")), "The server cannot be reached.");
  assert.equal(reasonOf(new Problem({ status: 422, detail: "Too long." })), "Too long.");
});

test("the dot has words for what is wrong, and for what waits", () => {
  assert.equal(
    pillText({ state: "waiting", transport: "long-poll", retryIn: 2100 }, 1),
    "1 waiting · Reconnecting in 3 s",
  );
  assert.equal(pillText({ state: "checking", transport: "websocket" }), "Checking…");
  assert.equal(pillText({ state: "offline" }, 2), "2 waiting · Offline");
  assert.equal(pillText({ state: "live", transport: "websocket" }), "Live · WebSocket");
  assert.equal(pillText({ state: "stopped", problem: { code: "cursor-expired" } }), "Loading anew");
  assert.equal(pillText({ state: "stopped", problem: { code: "room-unknown" } }), "Not there any more");
  assert.equal(pillText({ state: "stopped", problem: { code: "unauthenticated" } }, 1), "1 waiting · Signed out");
});

test("the dot is silent while all is well, and for a moment while a connection is made", () => {
  assert.ok(isQuiet({ state: "live" }, 0, false));
  assert.ok(isQuiet({ state: "connecting" }, 0, true));
  assert.ok(!isQuiet({ state: "connecting" }, 0, false));
  assert.ok(!isQuiet({ state: "live" }, 1, false));
  assert.ok(!isQuiet({ state: "offline" }, 0, true));
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

test("a search asks for one page, and leaves out what is not given", async () => {
  const asked = [];
  const fetch = (url) => {
    asked.push(url);
    return Promise.resolve(new Response('{"hits":[],"has_more":false}'));
  };
  const api = new Api({ base: "/api/v1", fetch });
  assert.deepEqual(await api.search("tea & cake", { limit: 5 }), { hits: [], has_more: false });
  await api.search("a", { before: "1.tea.2", order: "best" });
  assert.deepEqual(asked, ["/api/v1/search?q=tea+%26+cake&limit=5", "/api/v1/search?q=a&before=1.tea.2&order=best"]);
});
