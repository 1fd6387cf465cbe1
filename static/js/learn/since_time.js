// Step 1: a reader that asks for what is newer than the time of its last message. Clocks stand still between two ticks.
import { listed, TRIP, World } from "./world.js";

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
