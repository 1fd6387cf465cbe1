// The beginning of a text, cut between characters as people see them. Pure.

const MOST = 80;

/** At most `limit` code points with the "…", without half an emoji, a flag or a letter without its accent. */
export function shortened(text, limit = MOST) {
  if ([...text].length <= limit) return text;
  let kept = "";
  let left = limit - 1;
  for (const character of characters(text)) {
    left -= [...character].length;
    if (left < 0) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}

/** What a reply shows of a message: its text on one line, without markers. */
export function excerptOf({ message = "", runs }) {
  const shown = runs ? runs.map((run) => run.text).join("") : message;
  return shortened(shown.split(/\s+/u).filter(Boolean).join(" "));
}

/** Firefox has the segmenter from version 125 on; without it a surrogate pair stays whole at least. */
function characters(text) {
  if (!Intl.Segmenter) return [...text];
  // More than is shown is not looked at.
  return Array.from(new Intl.Segmenter().segment(text.slice(0, 4 * MOST)), ({ segment }) => segment);
}
