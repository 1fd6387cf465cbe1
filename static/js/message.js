// One message as an element: the <template> of the page, filled.
import { showTime } from "./dates.js";
import { showText } from "./runs.js";

/** A new, empty <article>. */
export const blank = () => document.getElementById("blank-message").content.firstElementChild.cloneNode(true);

/** Shows a message in its <article>; showing it twice changes nothing. */
export function showMessage(article, message) {
  const part = (name) => article.querySelector(`.${name}`);
  article.className = ["message", message.deleted && "deleted", message.color && `color-${message.color}`,
    article.classList.contains("follows") && "follows"].filter(Boolean).join(" ");
  if (message.id) identify(article, part("number"), message);
  part("user").textContent = message.user;
  if (message.at) showTime(part("time"), message.at);
  showAnswered(article, message.reply_to);
  if (message.deleted) part("text").textContent = "This message was deleted.";
  else showText(part("text"), message);
  part("edited").hidden = !message.edited_at || Boolean(message.deleted);
  part("feet").hidden = Boolean(message.deleted);
  showReactions(article, message);
  return article;
}

function identify(article, number, { id, user }) {
  article.id = `m${id}`;
  article.dataset.id = id;
  article.dataset.user = user;
  number.href = `#m${id}`;
  number.textContent = id;
  number.setAttribute("aria-label", `Message ${id}`);
}

function showAnswered(article, answered) {
  const link = article.querySelector(".answers");
  link.hidden = !answered;
  if (!answered) return;
  link.href = `#m${answered.id}`;
  link.querySelector(".answers-user").textContent = answered.user ?? "";
  link.querySelector(".answers-text").textContent = answered.excerpt ?? "";
}

/** The counts, and which of the two is this person's own. */
export function showReactions(article, { likes = 0, dislikes = 0 }, own = article.dataset.own) {
  for (const [action, label, count] of [["like", "Like", likes], ["dislike", "Dislike", dislikes]]) {
    const button = article.querySelector(`[data-action="${action}"]`);
    button.setAttribute("aria-pressed", String(own === action));
    button.setAttribute("aria-label", `${label}: ${count}`);
    button.querySelector(".count").textContent = count || "";
    button.classList.toggle("some", count > 0);
  }
}

/** The message of an <article> that the server rendered. */
export const readMessage = (article) => JSON.parse(article.dataset.message);
