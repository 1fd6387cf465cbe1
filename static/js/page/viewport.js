// Safari lays the keyboard over the page instead of making it smaller (others do as the viewport's meta says).

/** Whether one types without a keyboard on the screen, which would cover half of it. */
export const hasKeyboard = () => matchMedia("(hover: hover) and (pointer: fine)").matches;

export function fitAboveKeyboard(body, viewport = globalThis.visualViewport) {
  viewport?.addEventListener("resize", () => {
    const covered = innerHeight - viewport.height > 100;
    if (covered) body.style.setProperty("--uncovered", `${viewport.height}px`);
    else body.style.removeProperty("--uncovered");
    if (covered) scrollTo(0, 0);
  });
}
