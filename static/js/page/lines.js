// Lines that can be copied: a button with the text in `data-copy`.
import { copy } from "./copy.js";

/** `told` is what screen readers hear, on each page. */
export function copiesLines(told) {
  document.addEventListener("click", async ({ target }) => {
    const text = target.dataset?.copy;
    if (text === undefined) return;
    if (!(await copy(text))) {
      told.textContent = target.textContent = "Select the line and copy it";
      return;
    }
    told.textContent = "Copied.";
    target.textContent = "Copied";
    setTimeout(() => {
      target.textContent = "Copy";
      told.textContent = "";
    }, 1500);
  });
}
