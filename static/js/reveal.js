// Where nothing hovers, a message shows its actions when it is tapped: those of the newest would be below the log.

export function revealActions(log) {
  if (!matchMedia("(hover: none)").matches) return;
  log.addEventListener("focusin", ({ target }) => {
    const feet = target.closest("article")?.querySelector(".feet");
    requestAnimationFrame(() => feet?.scrollIntoView({ block: "nearest" }));
  });
}
