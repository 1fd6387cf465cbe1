// The page of quotes: another one without a reload, and reasons beside the fields.
import { Api } from "./api.js";
import { inOrder } from "./page/direction.js";
import { fold } from "./entries/fold.js";
import { newId } from "./page/ids.js";
import { watchLengths } from "./composer/lengths.js";
import { reasonOf } from "./problem.js";
import { load, save } from "./page/store.js";

const $ = (id) => document.getElementById(id);
const api = new Api({ base: $("quotes").dataset.base });
document.documentElement.classList.add("js");

function choose({ id, quote, author }) {
  const form = $("post-quote");
  if (form) {
    form.elements.id.value = id;
    form.elements.client_id.value = newId();
  }
  fail("");
  $("chosen-quote").textContent = inOrder(quote);
  fold($("chosen-quote"));
  $("chosen-author").textContent = author;
}

function fail(reason) {
  $("chosen-failed").textContent = reason;
  $("chosen-failed").hidden = !reason;
}

function list({ id, quote, author }) {
  if ($(`q${id}`)) return;
  const item = document.createElement("li");
  item.id = `q${id}`;
  const text = document.createElement("blockquote");
  const cite = document.createElement("cite");
  text.dir = cite.dir = "auto";
  text.textContent = inOrder(quote);
  cite.textContent = author;
  item.append(text, cite);
  $("quote-list").prepend(item);
  fold(text);
}

/** Tells the tabs that show its room, as an outbox does: what one has added oneself is not new there. */
function tellTabs(id) {
  const key = `outbox:${api.base === "/api/v1" ? "" : `${api.base}:`}lobby:${id}`;
  save(key, { client_id: id, envelope: { command: "add-quote" }, state: "sending" });
  save(key, null);
}

function refuse(field, reason) {
  for (const name of ["quote", "author"]) {
    const wrong = name === field;
    $(`${name}-wrong`).textContent = wrong ? reason : "";
    $(`${name}-wrong`).hidden = !wrong;
    if (wrong) $(name).setAttribute("aria-invalid", "true");
    else $(name).removeAttribute("aria-invalid");
  }
  if (field) $(field).focus();
}

for (const quote of document.querySelectorAll("#quotes blockquote")) fold(quote);

$("another").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    choose(await api.get("/quotes/random"));
  } catch (error) {
    fail(reasonOf(error));
  }
});

$("add-quote").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { quote, author, client_id: id } = form.elements;
  const body = { quote: quote.value.trim(), author: author.value.trim(), client_id: id.value };
  try {
    const answer = await api.request("POST", `${api.base}/quotes`, { body });
    const added = answer.quote && typeof answer.quote === "object" ? answer.quote : answer;
    tellTabs(body.client_id);
    form.reset();
    // The next one is another one; a repeat of this one was the same.
    id.value = newId();
    refuse(null);
    $("added").textContent = "Added. Thank you.";
    list(added);
    choose(added);
  } catch (error) {
    $("added").textContent = "";
    // The number stands for another text: the server would refuse this one under it for ever.
    if (error.code === "client-id-reused") id.value = newId();
    refuse(error.field?.endsWith("author") ? "author" : "quote", reasonOf(error));
  }
});

for (const form of document.forms) watchLengths(form);

const signature = $("post-quote")?.elements.user;
if (signature) {
  signature.value ||= load("user", "");
  signature.addEventListener("change", () => save("user", signature.value));
}
