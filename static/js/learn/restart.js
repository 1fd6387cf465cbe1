// Step 7: a number says how far a reader is, not in which log. After a restored backup the numbers begin anew.
import { listed, World } from "./world.js";

const LATER = ["four", "five", "six", "seven", "eight"];
export const knob = { label: "Messages after the backup is restored", min: 1, max: 5, step: 1, value: 3, unit: "" };

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  let log = [];
  let tag = "a7"; // names the history
  let cursor = { seq: 0, tag };
  const shownCursor = () => (mended ? `${cursor.seq}.${cursor.tag}` : String(cursor.seq));
  const store = (text) => () => log.push({ text });
  const apply = (found, seq) => {
    world.show(found.map(({ text }) => text));
    cursor = { seq, tag };
  };
  const ask = () => {
    const asked = cursor;
    world.go("reader", "server", `what is after ${shownCursor()}?`, () => {
      if (mended && asked.tag !== tag) {
        world.go("server", "reader", "this cursor is of another history", () => {
          world.note("reader", "clears its page, and loads it anew");
          world.go("reader", "server", "a snapshot?", () => {
            const found = [...log];
            world.go("server", "reader", listed(found), () => {
              apply(
                found.filter(({ text }) => !world.shown.has(text)),
                found.length,
              );
            });
          });
        });
        return;
      }
      const found = log.slice(asked.seq);
      const seq = Math.max(asked.seq, log.length);
      world.go("server", "reader", listed(found), () => apply(found, seq));
    });
  };
  let time = 0;
  const then = (act) => world.at((time += 100), act);
  for (const text of ["one", "two", "three"]) then(() => world.send(text, store(text)));
  then(ask);
  then(() => {
    log = log.slice(0, 1);
    tag = "f2";
    world.note("server", "its disk is lost: the backup has “one” only", "late");
  });
  for (const text of LATER.slice(0, value)) then(() => world.send(text, store(text)));
  then(ask);
  world.run();
  const told = mended ? "" : "And the reader still shows “two” and “three”, which are in no log any more.";
  return world.story(["sender", "server", "reader"], told, !mended);
}
