// Step 6: two workers, each with a memory of its own. What one of them stores, the readers of the other never get.
import { listed, World } from "./world.js";

const TEXTS = ["one", "two", "three", "four"];
export const knob = { label: "Of four messages, sent to worker A", min: 0, max: 4, step: 1, value: 2, unit: "" };

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const file = []; // a log that all share
  const memory = { A: mended ? file : [], B: mended ? file : [] };
  let next = 0;
  const push = () => {
    const found = memory.B.slice(next);
    next = memory.B.length;
    if (found.length) world.go("worker B", "reader", listed(found), () => world.show(found.map(({ text }) => text)));
  };
  const store = (worker, text) => () => {
    memory[worker].push({ text });
    const told = mended ? "; worker B is woken" : "; worker B does not know";
    world.note(`worker ${worker}`, `stores “${text}”${worker === "A" ? told : ""}`);
    if (worker === "B" || mended) push();
  };
  world.go("reader", "worker B", "WebSocket, after 0");
  TEXTS.forEach((text, i) => {
    // A balancer takes turns, as far as it goes.
    const toA = i % 2 === 0 ? i / 2 < value : value > 2 && (i - 1) / 2 < value - 2;
    const worker = toA ? "A" : "B";
    world.at(100 + 100 * i, () => world.send(text, store(worker, text), `worker ${worker}`));
  });
  world.run();
  return world.story(["sender", "worker A", "worker B", "reader"]);
}
