// Where nothing hovers, a tap on a message shows what can be done with it.

/** `more(article)` opens its actions. What has an act of its own (a link, a button) keeps it. */
export function tapShows(log, more) {
  if (!matchMedia("(hover: none)").matches) return;
  log.addEventListener("click", ({ target }) => {
    const article = target.closest("article");
    if (article && !target.closest("a, button, form") && getSelection().isCollapsed) more(article);
  });
}
