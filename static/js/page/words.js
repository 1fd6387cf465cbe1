// Looking for words.

/** Whether `text` has every word of `asked`, in any order, small or large. Pure. */
export function matches(text, asked) {
  const found = text.toLowerCase();
  return asked
    .toLowerCase()
    .split(/\s+/)
    .every((word) => found.includes(word));
}
