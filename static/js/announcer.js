// Tells screen readers what is new, without reading out a burst line by line.

export function announcer(element, { after = 800 } = {}) {
  let news = [];
  let timer = null;
  const tell = () => {
    timer = null;
    element.textContent = news.length > 3 ? `${news.length} new messages`
      : news.map(({ user, message, quote }) => (quote ? `Quote: ${quote.quote}. ${quote.author}` : `${user}: ${message}`)).join(". ");
    news = [];
  };
  return (message) => {
    news.push(message);
    timer ??= setTimeout(tell, after);
  };
}
