// Tells screen readers what is new, without reading out a burst line by line.

/** `after`: milliseconds that gather what comes together; `clearAfter`: those for which it stands there. */
export function announcer(element, { after = 800, clearAfter = 3_000 } = {}) {
  let news = [];
  let timer = null;
  let clearing = null;
  const tell = () => {
    timer = null;
    element.textContent = news.length > 3 ? `${news.length} new messages` : news.map(spoken).join(". ");
    news = [];
    clearTimeout(clearing);
    // What is deleted later must not stand here.
    clearing = setTimeout(() => {
      element.textContent = "";
    }, clearAfter);
  };
  return (entry) => {
    news.push(entry);
    timer ??= setTimeout(tell, after);
  };
}

/** An entry in words, without the markers of its markup. Pure. */
export const spoken = ({ user, message, runs, quote }) =>
  quote ? `Quote: ${quote.quote}. ${quote.author}` : `${user}: ${runs?.map(({ text }) => text).join("") ?? message}`;
