// One entry of the log as an element: a <template> of the page, filled. Showing it twice changes nothing.
import { showTime } from "../page/dates.js";
import { inOrder } from "../page/direction.js";
import { showFiles } from "../files/show.js";
import { hueOf, initialsOf } from "../person/face.js";
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
  if (message.id) identify(article, message.id);
  showAuthor(article, message);
  if (message.at) showTime(part("time"), message.at);
  showAnswered(article, message.reply_to);
  if (message.deleted) setText(part("text"), DELETED);
  else showText(part("text"), message);
  showFiles(part("files"), message.deleted ? [] : message.files);
  showEdited(part("edited"), message);
  part("actions").hidden = Boolean(message.deleted);
}

function showColor(classes, color) {
  const others = [...classes].filter((name) => name.startsWith("color-") && name !== `color-${color}`);
  classes.remove(...others);
  if (color) classes.add(`color-${color}`);
}

function showCard(article, { id, at, quote }) {
  identify(article, id);
  setText(article.querySelector("blockquote"), quote.removed ? "This quote was taken back." : inOrder(quote.quote));
  setText(article.querySelector(".author"), quote.author);
  showTime(article.querySelector(".time"), at);
}

function identify(article, id) {
  const number = article.querySelector(".number");
  article.id = `m${id}`;
  article.dataset.id = id;
  number.href = `#m${id}`;
  number.dataset.number = id;
}

function showAuthor(article, { user = "", by = user, bot = false }) {
  const [face, name, mark] = [".face", ".user", ".bot"].map((part) => article.querySelector(part));
  article.dataset.user = user;
  setText(face, initialsOf(user));
  setText(name, user);
  for (const part of [face, name]) showColor(part.classList, hueOf(by));
  mark.hidden = !bot;
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

/** What readers gave, and what of it is this person's own: the likes, and a chip for each emoji. */
export function showReactions(article, { id, deleted, likes = 0, dislikes = 0, reactions = {} }, own, ownEmoji) {
  const row = article.querySelector(".chips");
  showLikes(row, { likes, dislikes }, own);
  showChips(row, { id, reactions: deleted ? {} : reactions }, ownEmoji);
  row.hidden = Boolean(deleted) || [...row.children].every((chip) => chip.hidden);
}

function showLikes(row, { likes, dislikes }, own) {
  for (const [action, label, count] of [
    ["like", "Like", likes],
    ["dislike", "Dislike", dislikes],
  ]) {
    const button = row.querySelector(`[data-action="${action}"]`);
    button.setAttribute("aria-pressed", String(own === action));
    button.setAttribute("aria-label", `${label}: ${count}`);
    setText(button.querySelector(".count"), count || "");
    // One's own is seen before the server has counted it.
    button.hidden = !count && own !== action;
  }
}

/** A chip that stays keeps its element, and the focus. */
function showChips(row, { id, reactions }, own) {
  const emoji = Object.keys(reactions);
  const old = new Map([...row.querySelectorAll("[data-emoji]")].map((chip) => [chip.dataset.emoji, chip]));
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
