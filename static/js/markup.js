// Puts markup around the selection of a text field: **bold**, *italic*, __underline__, `code`.

/** The text and selection after marking; marking twice takes the marks away. Pure. */
export function marked(text, start, end, mark) {
  const before = text.slice(0, start);
  const inside = text.slice(start, end);
  const after = text.slice(end);
  if (before.endsWith(mark) && after.startsWith(mark)) {
    return {
      text: before.slice(0, -mark.length) + inside + after.slice(mark.length),
      start: start - mark.length,
      end: end - mark.length,
    };
  }
  return { text: before + mark + inside + mark + after, start: start + mark.length, end: end + mark.length };
}

export function mark(field, sign) {
  const { text, start, end } = marked(field.value, field.selectionStart, field.selectionEnd, sign);
  field.value = text;
  field.setSelectionRange(start, end);
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
