// Step 0: a reader that asks for all messages, each time. Nothing is lost, and most of what comes has come before.
import { listed, World } from "./world.js";

export const knob = { label: "Messages in the room", min: 0, max: 500, step: 50, value: 100, unit: "" };
const BYTES = 60; // of one message
const count = (number) => number.toLocaleString("en");

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const history = Array.from({ length: value }, (_, i) => ({ at: i, text: `message ${i + 1}` }));
  let known = -1;
  let again = 0;
  const read = (since) => history.filter(({ at }) => at > since);
  const ask = () => {
    const since = mended ? known : -1;
    world.go("reader", "server", mended ? `what is newer than ${since}?` : "all messages?", () => {
      const found = read(since);
      const old = found.filter(({ at }) => at <= known).length;
      const text = found.length ? `${found.length} messages, ${count(found.length * BYTES)} bytes` : listed(found);
      world.go("server", "reader", text, undefined, old ? "repeated" : "");
      again += old;
      known = Math.max(known, value - 1);
    });
  };
  for (const round of [0, 1, 2, 3]) world.at(round * 2_000, ask);
  world.run();
  const told = again
    ? `${count(again)} messages (${count(again * BYTES)} bytes) came again in three requests that brought nothing new.`
    : "Three requests brought nothing new, and nothing came again.";
  return world.story(["reader", "server"], told, again > 0);
}
