// Step 4: GET what there is, then listen for what comes. What is stored between the two is in neither.
import { listed, TRIP, World } from "./world.js";

export const knob = { label: "The second message is sent at", min: 0, max: 160, step: 10, value: 60, unit: "ms" };

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const stored = [];
  let push = null;
  const store = (text) => () => {
    stored.push({ text });
    push?.();
  };
  const connect = (cursor) => {
    world.go("reader", "server", mended ? `WebSocket, after ${cursor}` : "WebSocket", () => {
      let next = mended ? cursor : stored.length;
      world.note("server", `sends what comes after ${next}`);
      push = () => {
        const found = stored.slice(next);
        next = stored.length;
        if (found.length) world.go("server", "reader", listed(found), () => world.show(found.map(({ text }) => text)));
      };
      push();
    });
  };
  stored.push({ text: "one" });
  world.sent.set("one", 0);
  const load = () =>
    world.go("reader", "server", "all messages?", () => {
      const found = [...stored];
      world.go("server", "reader", listed(found), () => {
        world.show(found.map(({ text }) => text));
        world.after(TRIP, () => connect(found.length));
      });
    });
  world.at(10, load);
  world.at(value, () => world.send("two", store("two")));
  world.at(200, () => world.send("three", store("three")));
  world.run();
  return world.story(["sender", "server", "reader"]);
}
