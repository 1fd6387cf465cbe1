// Uploads in pieces, against a server that is played here: what is lost on the way is sent again, and nothing twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { changed } from "../../static/js/files/describe.js";
import { Kept, KEPT } from "../../static/js/files/kept.js";
import { sizeOf } from "../../static/js/files/show.js";
import { upload } from "../../static/js/files/upload.js";
import { factsOf, neighbour } from "../../static/js/files/viewer.js";

/** A server whose `faults` are consumed one by one: "lost", the request; "answer", only its answer; or a status. */
function played(faults = []) {
  const server = { got: 0, complete: false, asked: 0 };
  const headers = () => ({ Location: "/api/v1/files/f1", "Upload-Offset": String(server.got) });
  server.fetch = async (url, { method, body, headers: sent = {} }) => {
    server.asked += 1;
    const fault = method === "PATCH" ? faults.shift() : undefined;
    if (fault === "lost") throw new TypeError("fetch failed");
    if (Number(fault)) return Response.json({ code: fault === 503 ? "overloaded" : "quota-full" }, { status: fault });
    if (method === "HEAD") return new Response(null, { status: 204, headers: headers() });
    if (method === "DELETE") server.ended = url;
    if (method === "PATCH") {
      if (Number(sent["Upload-Offset"]) !== server.got)
        return Response.json({ code: "conflict" }, { status: 409, headers: headers() });
      server.got += body.size;
      server.complete = sent["Upload-Complete"] === "?1";
    }
    if (fault === "answer") throw new TypeError("fetch failed");
    return Response.json(server.complete ? { file: { id: "f1" } } : {}, { status: 201, headers: headers() });
  };
  return server;
}

const file = (size) => new File([new Uint8Array(size).fill(7)], "a.bin");
const at = (server) => ({ roomUrl: "/api/v1/rooms/lobby", base: "/api/v1", fetch: server.fetch });
const quick = { wait: async () => {} };

for (const faults of [[], ["lost"], ["answer"], [503, "lost", "answer"]])
  test(`A file arrives once, whatever goes wrong on the way: ${faults.join(", ") || "nothing"}`, async () => {
    const server = played([...faults]);
    const parts = [];
    const found = await upload(at(server), file(2_500_000), { ...quick, progress: (part) => parts.push(part) });
    assert.equal(found.id, "f1");
    assert.equal(server.got, 2_500_000);
    assert.ok(parts.every((part, i) => part > (parts[i - 1] ?? 0) && part < 1));
  });

test("A page goes on with the upload of the page before it, at the offset of the server", async () => {
  const server = played();
  server.got = 2_000_000;
  const parts = [];
  const found = await upload(at(server), file(2_500_000), {
    ...quick,
    known: "/api/v1/files/f1",
    progress: (part) => parts.push(part),
  });
  assert.equal(found.id, "f1");
  assert.equal(server.got, 2_500_000);
  assert.deepEqual([parts, server.asked], [[0.8], 2]);
});

test("An upload that the server has no more begins anew; one that was sent is nobody's", async () => {
  const server = played();
  const plain = server.fetch;
  let known = new Response(null, { status: 404 });
  server.fetch = (url, options) => (options.method === "HEAD" ? known : plain(url, options));
  const begun = [];
  const again = { ...quick, known: "/api/v1/files/f0", begun: (url) => begun.push(url) };
  assert.equal((await upload(at(server), file(10), again)).id, "f1");
  assert.deepEqual(begun, ["/api/v1/files/f1"]);
  known = new Response(null, { status: 200 });
  assert.equal(await upload(at(server), file(10), again), null);
  assert.equal(server.got, 10);
});

/** The locks of a browser, and what it keeps. */
function browser() {
  const [held, items] = [new Set(), new Map()];
  const request = async (name, _, hold) => {
    await null; // a browser answers later
    if (held.has(name)) return hold(null);
    held.add(name);
    await hold({ name });
    return held.delete(name);
  };
  const shelf = {
    put: async (id, item) => items.set(id, item),
    remove: async (id) => items.delete(id),
    all: async () => [...items],
  };
  let now = 0;
  return {
    items,
    close: () => held.clear(),
    sleep: () => (now += KEPT + 1),
    tab: (place = "lobby") => new Kept(place, { locks: { request }, shelf, now: () => now }),
  };
}

test("What a tab attaches is its own until the tab is closed; then the next one has it", async () => {
  const { items, close, tab } = browser();
  const first = tab();
  await first.save("a", { file: "A", by: "Ada" });
  await first.save("b", { file: "B", by: "Ada" });
  await first.remove("b");
  assert.deepEqual(await tab().left("Ada"), []);
  close();
  assert.deepEqual(await tab("tea").left("Ada"), []);
  assert.deepEqual(await tab().left("Eve"), []);
  const next = tab();
  const [found, ...more] = await next.left("Ada");
  assert.deepEqual([found.id, found.file, more], ["a", "A", []]);
  assert.deepEqual(await tab().left("Ada"), []);
  await next.remove("a");
  assert.equal(items.size, 0);
});

test("What is described as its upload begins is kept with its address", async () => {
  const { items, tab } = browser();
  const first = tab();
  await Promise.all([first.save("a", { file: "A", url: null }), first.save("a", { file: "A", url: "/begun" })]);
  assert.equal(items.get("a").url, "/begun");
});

test("What is a day old goes, whosever it is", async () => {
  const { items, close, sleep, tab } = browser();
  await tab().save("a", { file: "A", by: "Ada" });
  close();
  sleep();
  assert.deepEqual(await tab("tea").left("Eve"), []);
  assert.equal(items.size, 0);
});

test("Without locks or a place to keep it nothing is kept, and nothing fails", async () => {
  const none = new Kept("lobby", { locks: undefined });
  await none.save("a", { file: "A" });
  await none.remove("a");
  assert.deepEqual(await none.left("Ada"), []);
});

test("Pictures have neighbours, and facts", () => {
  assert.deepEqual(
    [
      neighbour("abc", "a", 1),
      neighbour(["a", "b"], "b", 1),
      neighbour(["a"], "x", -1),
      neighbour(["a", "b"], "b", -1),
    ],
    ["b", null, null, "a"],
  );
  assert.equal(factsOf({ size: 1_500_000, width: 20, height: 40 }), "20 × 40 · 1.5 MB");
});

test("A refusal is told, and nothing is tried again", async () => {
  const server = played([409]);
  await assert.rejects(upload(at(server), file(10), quick), { code: "quota-full" });
  assert.equal(server.asked, 2);
});

test("A cancelled upload is ended at the server", async () => {
  const server = played(["lost"]);
  const control = new AbortController();
  const wait = async () => control.abort();
  await assert.rejects(upload(at(server), file(10), { wait, signal: control.signal }), { name: "AbortError" });
  assert.equal(server.ended, "/api/v1/files/f1");
});

test("Sizes are said for people", () => {
  assert.deepEqual([0, 999, 1000, 1_500_000].map(sizeOf), ["0 B", "999 B", "1 kB", "1.5 MB"]);
});

test("Descriptions are sent together, on one line each, and only if one was changed.", () => {
  const files = [{ id: "a", alt: "Tea" }, { id: "b" }];
  assert.equal(changed(files, ["Tea", " "]), null);
  assert.deepEqual(changed(files, ["Tea", " two\n kinds"]), [
    { id: "a", alt: "Tea" },
    { id: "b", alt: "two kinds" },
  ]);
  assert.deepEqual(changed(files, ["", ""]), [{ id: "a" }, { id: "b" }]);
});
