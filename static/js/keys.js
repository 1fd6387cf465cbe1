// The keyboard: from message to message, and one letter per action.
import { load, save } from "./store.js";

const ACTIONS = { r: "reply", e: "edit", l: "like", d: "dislike", Delete: "delete" };

export function keyboard({ log, sheet, field, run, undo }) {
  const single = sheet.querySelector("#single-keys");
  // Speech input types letters: WCAG 2.1.4 wants them to have a switch.
  single.checked = load("single-keys", true);
  single.addEventListener("change", () => save("single-keys", single.checked));
  for (const button of document.querySelectorAll("[data-open=keys]")) {
    button.addEventListener("click", () => sheet.showModal());
  }
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || sheet.open) return;
    if (target.closest("input, textarea, select")) return;
    const article = target.closest("article");
    const act = onPage(key, single.checked) ?? (article && onMessage(key, article, single.checked));
    if (!act) return;
    event.preventDefault();
    act();
  });

  const onPage = (key, letters) =>
    ({
      "?": () => sheet.showModal(),
      "/": () => field.focus(),
      z: undo,
    })[letters ? key : ""];

  const onMessage = (key, article, letters) => {
    if (key === "ArrowUp" || key === "ArrowDown") return () => step(article, key === "ArrowUp" ? -1 : 1);
    if (key === "Escape") return () => field.focus();
    if (!ACTIONS[key] || (!letters && key.length === 1)) return null;
    const button = article.querySelector(`[data-action="${ACTIONS[key]}"]`);
    return button?.checkVisibility?.({ visibilityProperty: false }) === false ? null : () => run(ACTIONS[key], article);
  };

  const step = (article, by) => {
    const all = [...log.querySelectorAll("article")];
    const next = all[all.indexOf(article) + by];
    if (!next) return;
    // One message is in the tab order, the one that was visited last.
    article.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
}
