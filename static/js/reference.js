// The reference page: what is shown as a line can be copied.
import { copy } from "./copy.js";

document.documentElement.classList.add("js");
const told = document.getElementById("copied");

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
