// Puts markup around the selection of a text field: **bold**, *italic*, __underline__, `code`.
import { replace } from "./fields.js";

/** What to replace from `from` to `to` and what to select then; marking twice takes the marks away. Pure. */
export function marked(text, start, end, sign) {
  const inside = text.slice(start, end);
  const size = sign.length;
  if (text.slice(0, start).endsWith(sign) && text.slice(end).startsWith(sign)) {
    return { from: start - size, to: end + size, by: inside, start: start - size, end: end - size };
  }
  return { from: start, to: end, by: sign + inside + sign, start: start + size, end: end + size };
}

export function mark(field, sign) {
  const { from, to, by, start, end } = marked(field.value, field.selectionStart, field.selectionEnd, sign);
  replace(field, from, to, by);
  field.setSelectionRange(start, end);
}
