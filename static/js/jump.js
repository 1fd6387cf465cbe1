// From an answer to what it answers.

export function jumps(log) {
  log.addEventListener("click", (event) => {
    const link = event.target.closest("a.answers");
    if (!link) return;
    const article = document.getElementById(link.hash.slice(1));
    // Not loaded: the address alone then scrolls nowhere, and says so by doing nothing.
    event.preventDefault();
    if (!article) return;
    article.scrollIntoView({ block: "center" });
    article.focus({ preventScroll: true });
    article.classList.add("flash");
    article.addEventListener("animationend", () => article.classList.remove("flash"), { once: true });
  });
}
