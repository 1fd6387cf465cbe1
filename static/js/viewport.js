// Safari lays the keyboard over the page instead of making it smaller (others do as the viewport's meta says).

export function fitAboveKeyboard(body, viewport = globalThis.visualViewport) {
  viewport?.addEventListener("resize", () => {
    const covered = innerHeight - viewport.height > 100;
    body.style.blockSize = covered ? `${viewport.height}px` : "";
    if (covered) scrollTo(0, 0);
  });
}
