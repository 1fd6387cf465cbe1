// One entry of the log as an element: a <template> of the page, filled. Showing it twice changes nothing.
import { showTime } from "./dates.js";
import { inOrder } from "./direction.js";
import { showFiles } from "./files/show.js";
import { setText, showText } from "./runs.js";

const DELETED = "This message was deleted.";

/** A new, empty <article> for an entry; for a message, where none is given. */
export const blank = ({ quote } = {}) =>
  document.getElementById(quote ? "blank-card" : "blank-message").content.firstElementChild.cloneNode(true);

/** Shows an entry of the timeline in its <article>. */
export function showEntry(article, entry) {
  if (entry.quote) showCard(article, entry);
  else showMessage(article, entry);
}

export function showMessage(article, message) {
  const part = (name) => article.querySelector(`.${name}`);
  article.classList.toggle("deleted", Boolean(message.deleted));
  showColor(article.classList, message.color);
  if (message.id) identify(article, message.id, `Message ${message.id}`);
  article.dataset.user = message.user;
  setText(part("user"), message.user);
  if (message.at) showTime(part("time"), message.at);
  showAnswered(article, message.reply_to);
  if (message.deleted) setText(part("text"), DELETED);
  else showText(part("text"), message);
  showFiles(part("files"), message.deleted ? [] : message.files);
  showEdited(part("edited"), message);
  part("feet").hidden = Boolean(message.deleted);
}

function showColor(classes, color) {
  const others = [...classes].filter((name) => name.startsWith("color-") && name !== `color-${color}`);
  classes.remove(...others);
  if (color) classes.add(`color-${color}`);
}

function showCard(article, { id, at, quote }) {
  identify(article, id, `Event ${id}`);
  setText(article.querySelector("blockquote"), quote.removed ? "This quote was taken back." : inOrder(quote.quote));
  setText(article.querySelector(".author"), quote.author);
  showTime(article.querySelector(".time"), at);
}

function identify(article, id, label) {
  const number = article.querySelector(".number");
  article.id = `m${id}`;
  article.dataset.id = id;
  number.href = `#m${id}`;
  setText(number, id);
  number.setAttribute("aria-label", label);
}

function showAnswered(article, answered) {
  const link = article.querySelector(".answers");
  link.hidden = !answered;
  if (!answered) return;
  link.href = `#m${answered.id}`;
  setText(link.querySelector(".answers-user"), answered.user ?? "");
  setText(link.querySelector(".answers-text"), answered.deleted ? DELETED : inOrder(answered.excerpt ?? ""));
}

function showEdited(element, { edited_at: at, deleted }) {
  element.hidden = !at || Boolean(deleted);
  if (!element.hidden) showTime(element.querySelector("time"), at);
}

/** The counts, and which of the two is this person's own. */
export function showReactions(article, { likes = 0, dislikes = 0 }, own) {
  for (const [action, label, count] of [
    ["like", "Like", likes],
    ["dislike", "Dislike", dislikes],
  ]) {
    const button = article.querySelector(`[data-action="${action}"]`);
    button.setAttribute("aria-pressed", String(own === action));
    button.setAttribute("aria-label", `${label}: ${count}`);
    setText(button.querySelector(".count"), count || "");
    button.classList.toggle("some", count > 0);
  }
}

/** A chip for each emoji, pressed if `own(emoji)`; a chip that stays keeps its element, and the focus. */
export function showChips(article, { id, deleted, reactions = {} }, own) {
  const row = article.querySelector(".chips");
  const emoji = deleted ? [] : Object.keys(reactions);
  row.hidden = !emoji.length;
  const old = new Map([...row.children].map((chip) => [chip.dataset.emoji, chip]));
  for (const [each, chip] of old) if (!emoji.includes(each)) chip.remove();
  for (const each of emoji) showChip(old.get(each) ?? row.appendChild(chipOf(each)), id, reactions[each], own(each));
}

function chipOf(emoji) {
  const chip = document.createElement("button");
  Object.assign(chip, { type: "submit", className: "chip" });
  chip.setAttribute("form", "reactions");
  Object.assign(chip.dataset, { action: "chip", emoji });
  return chip;
}

function showChip(chip, id, count, own) {
  const { emoji } = chip.dataset;
  Object.assign(chip, { name: own ? "take" : "add", value: `${id} ${emoji}` });
  chip.setAttribute("aria-pressed", String(own));
  chip.setAttribute("aria-label", `${emoji}: ${count}`);
  setText(chip, `${emoji} ${count}`);
}

/** The entry of an <article> that the server rendered. */
export const readEntry = (article) => JSON.parse(article.dataset.entry);
