// A named cursor: what was handed out is acknowledged by asking for the next, and by nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../static/js/api.js";
import { cursor } from "../../static/js/named.js";
import { cursorOf, sent } from "./fakes.js";

/** Stands for the server: three events, of which the first `positions.lobby` are acknowledged. */
const server = () => {
  const asked = [];
  const state = { position: 0, failures: 1, asked };
  const fetch = async (url, { method, body }) => {
    const path = url.replace("http://test/api/v1", "");
    asked.push(`${method} ${path}`);
    if (path.endsWith("/position")) state.position = Number.parseInt(JSON.parse(body).rooms.lobby, 10);
    if (path.includes("/events") && state.failures-- > 0) return Response.json({ code: "overloaded" }, { status: 503 });
    const events = [1, 2, 3].map(sent).slice(state.position);
    const gap = state.position === 0 ? { gap: { from: 1, to: 1 } } : {};
    return Response.json({ rooms: { lobby: { events, cursor: cursorOf(3), more: false, ...gap } } });
  };
  return { ...state, state, api: new Api({ url: "http://test", fetch }) };
};
const backoff = { next: () => 1, reset: () => {} };

test("a program that ends in the midst gets the event again", async () => {
  const { api, state } = server();
  const gaps = [];
  const seen = [];
  for (let turn = 0; turn < 2; turn += 1) {
    const options = { rooms: ["lobby"], from: "0", backoff, onGap: (room, gap) => gaps.push([room, gap.to]) };
    for await (const event of cursor(api, "grader", options)) {
      seen.push(event.seq);
      if (event.seq === 2 + turn) break;
    }
  }
  assert.deepEqual(seen, [1, 2, 2, 3]);
  assert.equal(state.position, 2);
  assert.deepEqual(gaps, [["lobby", 1]]);
  assert.equal(state.asked[0], "PUT /cursors/grader");
});

test("what cannot help is thrown", async () => {
  const refusing = async () => Response.json({ code: "cursor-unknown" }, { status: 404 });
  const reading = cursor(new Api({ url: "http://test", fetch: refusing }), "nobody", { backoff });
  await assert.rejects(reading.next(), { code: "cursor-unknown" });
});
