// To a message: from a reply to what it answers, and from the address of the page.

const idIn = (hash) => Number(/^#m(\d+)$/.exec(hash)?.[1] ?? NaN);

/** `reach(id)` resolves to the <article>, loading it where it must, or to null where there is none. */
export function jumps(log, { reach, missing }) {
  const go = async (id) => {
    const article = await reach(id);
    if (article) show(article);
    else missing(id);
  };
  log.addEventListener("click", (event) => {
    const link = event.target.closest("a.answers, a.number");
    if (!link) return;
    event.preventDefault();
    history.replaceState(history.state, "", link.hash);
    go(idIn(link.hash));
  });
  addEventListener("hashchange", () => idIn(location.hash) && go(idIn(location.hash)));
  const asked = idIn(location.hash);
  if (asked) go(asked);
  return Boolean(asked);
}

function show(article) {
  article.scrollIntoView({ block: "center" });
  article.focus({ preventScroll: true });
  article.classList.add("flash");
  article.addEventListener("animationend", () => article.classList.remove("flash"), { once: true });
}
