// To a message: from a reply to what it answers, and from the address of the page.

const idIn = (hash) => Number(/^#m(\d+)$/.exec(hash)?.[1] ?? NaN);

/** `reach(id)` resolves to the <article>, loading it where it must, or to null where there is none. True
 *  if it goes to one now; it does not if `begins` is false. */
export function jumps(log, { reach, missing, life, begins = true }) {
  const go = async (id) => {
    const article = await reach(id);
    if (article) show(article);
    else missing(id);
  };
  log.addEventListener("click", (event) => {
    const link = event.target.closest("a.answers, a.number");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    history.replaceState(history.state, "", link.hash);
    go(idIn(link.hash));
  });
  const here = location.pathname + location.search;
  const changed = () => {
    // On the way back to another room its number is there before the room is.
    if (idIn(location.hash) && location.pathname + location.search === here) go(idIn(location.hash));
  };
  addEventListener("hashchange", changed, { signal: life });
  const asked = begins && idIn(location.hash);
  if (asked) go(asked);
  return Boolean(asked);
}

function show(article) {
  article.scrollIntoView({ block: "center" });
  article.focus({ preventScroll: true });
  article.classList.add("flash");
  article.addEventListener("animationend", () => article.classList.remove("flash"), { once: true });
}
