// The keyboard: from message to message, one letter per action, and to other rooms.
import { isAnythingOpen } from "../entries/place.js";
import { neighbour, newest } from "../entries/stretches.js";
import { load, save } from "../page/store.js";

const ACTIONS = { r: "reply", e: "edit", l: "like", d: "dislike", m: "more", Delete: "delete" };

/** What a key with modifiers does; null for all others. Pure. */
export function commandOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const command = ctrlKey || metaKey;
  if (command && !altKey && !shiftKey && key.toLowerCase() === "k") return "switch";
  if (!altKey || command || !["ArrowUp", "ArrowDown"].includes(key)) return null;
  if (shiftKey) return key === "ArrowDown" ? "next-unread" : "previous-unread";
  return key === "ArrowDown" ? "next" : "previous";
}

/** The room to go to from the one that is shown: `by` is 1 or -1; only one with news if `news`. Pure. */
export function neighbourOf(rooms, by, news = false) {
  const at = rooms.findIndex(({ current }) => current);
  for (let step = 1; step <= rooms.length; step += 1) {
    const room = rooms[(((at + by * step) % rooms.length) + rooms.length) % rooms.length];
    if (!room.current && (room.news || !news)) return room;
  }
  return null;
}

/** The rooms of the column, in its order. */
export const roomsShown = () =>
  [...document.querySelectorAll("#rooms [data-room] > a")].map((link) => ({
    label: (link.querySelector(".label") ?? link).textContent,
    title: link.title,
    go: () => link.click(),
    current: link.hasAttribute("aria-current"),
    news: link.classList.contains("news"),
  }));

export function keyboard({ log, sheet, field, run, undo, open, done, life }) {
  const single = sheet.querySelector("#single-keys");
  // Speech input types letters: WCAG 2.1.4 wants them to have a switch.
  single.checked = load("single-keys", true);
  single.addEventListener("change", () => save("single-keys", single.checked));
  for (const button of document.querySelectorAll("[data-open=keys]")) {
    button.addEventListener("click", () => {
      button.closest("[popover]")?.hidePopover();
      sheet.showModal();
    });
  }
  const pressed = (event) => {
    const { key, target } = event;
    const command = commandOf(event);
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    const types = modified || target.closest("input, textarea, select");
    // What is open is looked for last: that is a look at each element of the page.
    if (event.isComposing || (types && !command) || isAnythingOpen()) return;
    if (command) {
      event.preventDefault();
      go(command);
    }
    if (types) return;
    const article = target.closest("article");
    const act = onPage(key, single.checked, article) ?? (article && onMessage(key, article, single.checked));
    if (!act) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", pressed, { signal: life });
  rove(log);

  const go = (command) => {
    if (command === "switch") return open();
    const room = neighbourOf(roomsShown(), command.startsWith("next") ? 1 : -1, command.endsWith("unread"));
    return room?.go();
  };

  const onPage = (key, letters, article) => {
    if (key === "Escape" && !article) {
      return () => {
        done();
        field.focus();
      };
    }
    return { "?": () => sheet.showModal(), "/": () => field.focus(), z: undo }[letters ? key : ""];
  };

  const onMessage = (key, article, letters) => {
    if (key === "ArrowUp" || key === "ArrowDown") {
      return () => neighbour(article, key === "ArrowUp" ? "previous" : "next")?.focus();
    }
    if (key === "Escape") return () => field.focus();
    if (!ACTIONS[key] || (!letters && key.length === 1)) return null;
    return () => run(ACTIONS[key], article);
  };
}

const INSIDE = ".number, .answers, .actions button, .chip, .text a, .unfold";

/** What Tab would stop at, in a part of the log. */
const stopsIn = (node) =>
  node.querySelectorAll ? [...node.querySelectorAll(INSIDE), ...(node.matches(INSIDE) ? [node] : [])] : [];

/** One message is in the order of Tab, the one that was visited last, with what is in it; at first the newest. */
function rove(log) {
  let present = null;
  const visit = (article) => {
    if (article === present) return;
    for (const each of present?.querySelectorAll(INSIDE) ?? []) each.tabIndex = -1;
    if (present) present.tabIndex = -1;
    present = article;
    present.tabIndex = 0;
    for (const each of present.querySelectorAll(INSIDE)) each.tabIndex = 0;
  };
  const settle = (added) => {
    for (const each of added) if (!present?.contains(each)) each.tabIndex = -1;
    const last = present?.isConnected ? null : newest(log);
    if (last) visit(last);
  };
  log.addEventListener("focusin", ({ target }) => {
    const article = target.closest("article");
    if (article) visit(article);
  });
  new MutationObserver((changes) =>
    settle(changes.flatMap(({ addedNodes }) => [...addedNodes].flatMap(stopsIn))),
  ).observe(log, { childList: true, subtree: true });
  settle(stopsIn(log));
}
