// Step 3: the lost wake-up. A request looks, finds nothing, and waits; what is stored between the look and the wait
// wakes nobody, unless a lock is held from the one to the other.
import { listed, World } from "./world.js";

const LOOK = 100;
const HELD_UP = 7; // ms from the look to the wait: the operating system may stop a thread at any line
const WAIT = 25_000;
export const knob = {
  label: "The message is stored after the look by",
  min: -4,
  max: 12,
  step: 2,
  value: 2,
  unit: "ms",
};

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const stored = [];
  let isLocked = false;
  let waiting = null; // ends the wait
  const answer = () => {
    waiting = null;
    world.go("server", "reader", listed(stored), () => world.show(stored.map(({ text }) => text)));
  };
  const wait = () => {
    isLocked = false;
    world.note("server", "waits to be woken, 25 s at most");
    waiting = answer;
    world.after(WAIT, () => {
      if (waiting !== answer) return;
      world.note("server", "wakes up: 25 s are over", "late");
      answer();
    });
  };
  const store = () => {
    if (isLocked) {
      world.note("server", "“one” waits for the lock");
      world.after(HELD_UP, store);
      return;
    }
    stored.push({ text: "one" });
    world.note("server", waiting ? "stores “one” and wakes the request" : "stores “one”; nobody waits yet");
    waiting?.();
  };
  world.at(LOOK - 20, () =>
    world.go("reader", "server", "what is after 0? I wait", () => {
      isLocked = mended;
      if (stored.length) {
        answer();
        return;
      }
      world.note("server", `looks, and finds nothing${mended ? "; it keeps the lock" : ""}`);
      world.after(HELD_UP, wait);
    }),
  );
  world.at(LOOK + value - 20, () => world.send("one", store));
  world.run();
  const late = Math.round(world.shown.get("one")[0] - world.sent.get("one"));
  const told = `“one” came ${late.toLocaleString("en")} ms after it was sent.`;
  return world.story(["sender", "server", "reader"], told, late > 1_000);
}
