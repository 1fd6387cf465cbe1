// The reference page: calls by words in their method, path or meaning.
import { matches } from "./page/words.js";

const field = document.getElementById("filter");
const rows = [...document.querySelectorAll("#call-list li")];
const told = document.getElementById("filtered");

function filter() {
  let shown = 0;
  for (const row of rows) {
    const found = matches(row.textContent, field.value);
    row.hidden = !found;
    document.getElementById(row.dataset.entry).hidden = !found;
    if (found) shown += 1;
  }
  told.textContent = field.value.trim() ? `${shown} of ${rows.length} calls` : "";
}

field.addEventListener("input", filter);
addEventListener("pageshow", filter); // a browser that goes back fills the field itself
// A link to a call that the filter hides shows it.
addEventListener("hashchange", () => {
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!entry?.hidden) return;
  field.value = "";
  filter();
  entry.scrollIntoView();
});
