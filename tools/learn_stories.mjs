// Writes static/learn/stories.json: what the toys of /learn tell with their first settings, for the pages that the
// server renders. Run it after a change in static/js/learn: node tools/learn_stories.mjs
import { writeFileSync } from "node:fs";
import { FAULTS } from "../static/js/learn/faults.js";
import { classesOf, fateOf, timeOf } from "../static/js/learn/picture.js";

/** A story with all that its picture needs. */
const drawn = ({ actors, rows, messages, ...story }) => ({
  ...story,
  actors,
  rows: rows.map((row) => ({ ...row, at: timeOf(row.at), classes: classesOf(row, actors) })),
  messages: messages.map((message) => ({
    text: message.text,
    at: timeOf(message.at),
    arrived: message.arrived.map(timeOf).join(", ") || "–",
    fate: fateOf(message),
  })),
});

/** Each step with its knob and its two stories, as JSON. */
export const stories = () =>
  `${JSON.stringify(
    Object.fromEntries(
      Object.entries(FAULTS).map(([step, { knob, story }]) => [
        step,
        { knob, broken: drawn(story()), mended: drawn(story({ mended: true })) },
      ]),
    ),
    null,
    1,
  )}\n`;

if (import.meta.filename === process.argv[1]) {
  writeFileSync(new URL("../static/learn/stories.json", import.meta.url), stories());
}
