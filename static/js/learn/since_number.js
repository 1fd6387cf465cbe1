// Step 2: a reader that asks again and again. Nothing is lost, but most requests find nothing, and messages come late.
import { listed, TRIP, World } from "./world.js";

const INTERVAL = 2_000;
export const knob = {
  label: "The message is stored after the last look at the server by",
  min: 100,
  max: 1_900,
  step: 100,
  value: 100,
  unit: "ms",
};

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const stored = [];
  const held = []; // requests that wait for news
  let empty = 0;
  const answer = (found) => {
    if (!found.length) empty += 1;
    world.go("server", "reader", listed(found), () => {
      world.show(found.map(({ text }) => text));
      if (!found.length) world.after(INTERVAL - 2 * TRIP, ask);
    });
  };
  const ask = () => {
    world.go("reader", "server", mended ? "what is after 0? I wait" : "what is after 0?", () => {
      if (mended && !stored.length) {
        world.note("server", "holds the request until there is something");
        held.push(() => answer(stored));
      } else answer(stored);
    });
  };
  const looks = 2 * INTERVAL + TRIP; // the third
  ask();
  world.at(looks + value - TRIP, () =>
    world.send("one", () => {
      stored.push({ text: "one" });
      held.splice(0).forEach((wake) => wake());
    }),
  );
  world.run();
  const late = world.shown.get("one")[0] - world.sent.get("one");
  const told = `${empty} requests found nothing, and “one” came ${late.toLocaleString("en")} ms after it was sent.`;
  return world.story(["sender", "server", "reader"], told, empty > 0);
}
