// Step 1: a reader that asks for what is newer than the time of its last message. Clocks stand still between two ticks.
import { listed, TRIP, World } from "./world.js";

export const about = {
  title: "Ask for what is newer",
  does: "The page says the time of its last message, and gets what is newer.",
  breaks:
    "A clock stands still between two ticks. Two messages can have the same time, and a reader that asks between them gets the first; the second is not newer than it, so it is never asked for. Clocks of two machines differ, and clocks are set back: then it is worse.",
  mends: "The next step gives each message a number. No two are equal, and none is skipped.",
};
export const knob = {
  label: "The second message is stored after the first by",
  min: 0.2,
  max: 3,
  step: 0.2,
  value: 0.6,
  unit: "ms",
};

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const stored = [];
  const [name, next] = mended ? ["after", () => stored.length + 1] : ["since", () => Math.floor(world.now)]; // a clock of whole milliseconds
  const store = (text) => () => {
    stored.push({ text, mark: next() });
    world.note("server", `stores “${text}” with ${mended ? "number" : "time"} ${stored.at(-1).mark}`);
  };
  let last = 0;
  const ask = () => {
    const mark = last;
    world.go("reader", "server", `what is new ${name} ${mark}?`, () => {
      const found = stored.filter((message) => message.mark > mark);
      world.go("server", "reader", listed(found), () => {
        world.show(found.map(({ text }) => text));
        last = Math.max(last, ...found.map((message) => message.mark));
      });
    });
  };
  world.at(100, () => world.send("one", store("one")));
  world.at(100 + 0.1, ask);
  world.at(100 + value, () => world.send("two", store("two")));
  world.at(100 + 5 * TRIP, ask);
  world.run();
  return world.story(["sender", "server", "reader"]);
}
