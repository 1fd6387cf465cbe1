// How long texts may be. Nothing is cut: the page says how much is too much, and does not send it.

/** Characters as the server counts them: code points in NFC, a line end as one. */
export function lengthOf(text) {
  let length = 0;
  for (const _ of text.replace(/\r\n?/g, "\n").normalize("NFC")) length += 1;
  return length;
}

/** What to say of a text; "" if it fits. */
export function tooLong(text, most, what) {
  const length = lengthOf(text);
  if (length <= most) return "";
  const [some, all, limit] = [length - most, length, most].map((number) => number.toLocaleString("en"));
  return `${what}: ${some} ${length - most === 1 ? "character" : "characters"} too many (${all} of at most ${limit}).`;
}

/** What to say near the limit: how much is left. Pure. */
export function leftOver(text, most) {
  const left = most - lengthOf(text);
  return left >= 0 && left <= Math.max(10, most / 20) ? left.toLocaleString("en") : "";
}

/** Watches the fields of a form that have `data-most`; each says it where `aria-describedby` points to. */
export function watchLengths(form) {
  const fields = [...form.elements].filter((field) => field.dataset.most && !field.readOnly);
  const told = new Map(); // field → what is said of it
  const check = (field) => {
    const words = tooLong(field.value, Number(field.dataset.most), field.dataset.what);
    const left = document.getElementById(field.dataset.left);
    if (left) {
      left.textContent = leftOver(field.value, Number(field.dataset.most));
      left.title = "Characters left";
      left.hidden = !left.textContent;
    }
    if (words === (told.get(field) ?? "")) return;
    told.set(field, words);
    field.setCustomValidity(words);
    if (words) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    const id = field.getAttribute("aria-describedby");
    const place = document.getElementById(id);
    const all = fields.filter((other) => other.getAttribute("aria-describedby") === id).map((other) => told.get(other));
    place.textContent = all.filter(Boolean).join(" ");
    place.hidden = !place.textContent;
  };
  const checkAll = () => fields.forEach(check);
  form.addEventListener("input", ({ target }) => fields.includes(target) && check(target));
  form.addEventListener("reset", () => setTimeout(checkAll));
  checkAll();
  return checkAll;
}
