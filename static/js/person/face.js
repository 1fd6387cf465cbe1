// The face of an author: initials, on one of the colours. src/quotechat/web/pages/parts/faces.py does the same. Pure.

const HUES = ["amber", "blue", "brown", "cyan", "green", "indigo", "orange", "pink", "purple", "red", "teal"];

/** The colour of an author, by the id of the account, or by the name of one that has none. */
export function hueOf(author) {
  let number = 0;
  for (const character of author) number = (number * 31 + character.codePointAt(0)) % 65_521;
  return HUES[number % HUES.length];
}

/** The first letters of the first word and of the last; of a single word its first two. */
export function initialsOf(name) {
  const words = name
    .split(/\s+/u)
    .map((word) => [...word].filter((each) => /[\p{L}\p{N}]/u.test(each)))
    .filter((letters) => letters.length);
  if (!words.length) return [...name].slice(0, 1).join("");
  const found = words.length === 1 ? words[0].slice(0, 2) : [words[0][0], words.at(-1)[0]];
  return found.join("").toUpperCase();
}
