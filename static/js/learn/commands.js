// Step 5: an answer is lost, so the sender sends again. Without a client_id that is another message; and a like that
// says "one more" counts twice.
import { TRIP, World } from "./world.js";

export const knob = { label: "Attempts until an answer arrives", min: 1, max: 4, step: 1, value: 2, unit: "" };

export function story({ mended = false, value = knob.value } = {}) {
  const world = new World();
  const stored = new Map(); // client_id → its event
  const likers = new Set();
  let likes = 0; // as the reader has it

  /** `how` makes an event of the command, and `apply` is what the reader does with it. */
  const submit = (id, how, apply) => {
    if (mended && stored.has(id)) {
      world.note("server", "knows this client_id: it is stored already");
      return;
    }
    const event = how();
    stored.set(id, event);
    world.go("server", "reader", event.text, () => apply(event));
  };
  const attempts = (start, text, act) => {
    for (let attempt = 1; attempt <= value; attempt += 1) {
      world.at(start + attempt * 200, () =>
        world.go("sender", "server", text, () => {
          act();
          if (attempt < value) world.goLost("server", "sender", "the answer is lost");
          else world.go("server", "sender", "answer");
        }),
      );
    }
  };
  const sent = () =>
    submit(
      "a1",
      () => ({ text: "“one”" }),
      () => world.show(["one"]),
    );
  const liked = () =>
    submit(
      "a2",
      () => {
        likers.add("Bo");
        return mended ? { text: `likes: ${likers.size}`, likes: likers.size } : { text: "one like more" };
      },
      (event) => (likes = event.likes ?? likes + 1),
    );
  world.sent.set("one", 200);
  attempts(0, mended ? "send “one”, client_id a1" : "send “one”", sent);
  attempts(value * 200 + TRIP, mended ? "Bo likes it, client_id a2" : "Bo likes it", liked);
  world.run();
  world.note("reader", `shows ${likes} ${likes === 1 ? "like" : "likes"}`, likes > 1 ? "repeated" : "");
  const told = `Bo liked it once; the reader shows ${likes} ${likes === 1 ? "like" : "likes"}.`;
  return world.story(["sender", "server", "reader"], told, likes > 1);
}
