// Uploads in pieces, against a server that is played here: what is lost on the way is sent again, and nothing twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeOf } from "../../static/js/files/show.js";
import { upload } from "../../static/js/files/upload.js";

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
