// What the lab says in words. Pure.
import { shown } from "./stats.js";

/** "1 message", "7 messages". */
export const messages = (count) => `${shown(count)} ${count === 1 ? "message" : "messages"}`;

const list = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

/**
 * The sentence at the end of a cut. `sent` messages were sent while it lasted; `readers` are {name, lost, late} with
 * the ms after the end of the cut at which the last of them came.
 */
export function cutTold({ seconds, sent, readers }) {
  const keeping = readers.filter(({ lost }) => lost === 0);
  const losing = readers.filter(({ lost }) => lost > 0);
  const parts = [`Cut for ${shown(seconds)} s, while ${messages(sent)} ${sent === 1 ? "was" : "were"} sent.`];
  if (keeping.length) {
    const late = shown(Math.max(0, ...keeping.map((reader) => reader.late)));
    parts.push(`${list(keeping.map(({ name }) => name))} lost 0: all came, the last ${late} ms after the cut.`);
  }
  const more = (lost) => (lost > sent ? ", with those that were on their way" : "");
  for (const { name, lost } of losing) parts.push(`${name} lost ${shown(lost)}${more(lost)}.`);
  return parts.join(" ");
}

/** What silence costs a hundred readers in eight hours, from a row for each reader; "" until all is known. */
export function teamTold(rows) {
  const known = rows.filter(({ idleRequests }) => Number.isFinite(idleRequests));
  if (!known.length) return "";
  const day = 100 * 8 * 60;
  const each = ({ reader, idleRequests, idleBytes }) =>
    `${reader} ${shown(Math.round(idleRequests * day))} requests and ${shown((idleBytes * day) / 1e6)} MB`;
  return `A hundred readers for eight hours, and nobody writes: ${list(known.map(each))}.`;
}

const DELAYS = { 0: "at once", 0.5: "after half the interval", 1: "after a whole interval" };

/** What came of the prediction how late a short poll is. `typical` is in ms, without the added delay. */
export function delayTold(predicted, { typical, interval }) {
  if (!(predicted in DELAYS) || !Number.isFinite(typical)) return "";
  const share = typical / interval;
  const nearest = [0, 0.5, 1].sort((a, b) => Math.abs(a - share) - Math.abs(b - share))[0];
  const right = Number(predicted) === nearest ? "that is what you said" : `you said ${DELAYS[predicted]}`;
  return `A short poll was typically ${shown(typical)} ms late, of an interval of ${shown(interval)} ms: ${right}.`;
}

const LOSSES = { none: "none", meanwhile: "those sent meanwhile", after: "all from then on" };

/** What came of the prediction how many messages the reader without a cursor loses. */
export function lossTold(predicted, { cuts, lost, arrivedAfter }) {
  if (!(predicted in LOSSES)) return "";
  if (!cuts) return "Nothing was cut, so your second prediction was not tried.";
  const found = lost === 0 ? "none" : arrivedAfter ? "meanwhile" : "after";
  const right = predicted === found ? "that is what you said" : `you said ${LOSSES[predicted]}`;
  return `The reader without a cursor lost ${messages(lost)}: ${right}.`;
}
