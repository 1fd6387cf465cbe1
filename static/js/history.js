// Older messages, fetched as the reader comes near the top.

const NEAR = 300; // px

/** `older(before)` fetches {messages, has_more}; `show(page)` adds what it holds. */
export function history({ scroller, link, oldest, older, show }) {
  if (!link) return;
  let loading = false;
  const load = async () => {
    if (loading || !link.isConnected) return;
    loading = true;
    link.textContent = "Loading…";
    try {
      const page = await older(oldest());
      show(page);
      if (!page.has_more) link.remove();
      link.textContent = "Earlier messages";
    } catch {
      link.textContent = "Earlier messages could not be loaded. Try again";
    }
    loading = false;
  };
  link.addEventListener("click", (event) => {
    event.preventDefault();
    load();
  });
  scroller.addEventListener("scroll", () => scroller.scrollTop < NEAR && load(), { passive: true });
}
