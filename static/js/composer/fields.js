// Changes the text of a field as if it was typed, so that Ctrl+Z takes it back; and tells keys that belong to a word.

/** Whether a key is part of a word that is being composed (Japanese, Chinese, Korean): Enter ends it, arrows choose. Safari
 *  tells the Enter that ends one by its number alone. */
export const composes = ({ isComposing, keyCode }) => isComposing || keyCode === 229;

/** Replaces what stands between `start` and `end`. Leaves the cursor behind it. */
export function replace(field, start, end, text) {
  field.focus();
  field.setSelectionRange(start, end);
  if (start === end && !text) return;
  // Deprecated, and the only way that keeps the undo history of a field; browsers keep it for editors.
  const done = document.execCommand(text ? "insertText" : "delete", false, text);
  if (done) return;
  field.setRangeText(text, start, end, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Replaces the whole text. */
export const replaceAll = (field, text) => field.value === text || replace(field, 0, field.value.length, text);
