// Times as the viewer's clock and language have them.

const format = (options) => {
  const formatter = new Intl.DateTimeFormat(undefined, options);
  return (date) => formatter.format(date);
};
const clock = format({ hour: "2-digit", minute: "2-digit" });
const weekday = format({ weekday: "long", day: "numeric", month: "long" });
const dated = format({ day: "numeric", month: "long", year: "numeric" });
const exact = format({ dateStyle: "full", timeStyle: "long" });

/** The local day as a key: two messages with the same key are of one day. */
export const dayOf = (date) => `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;

/** "Today", "Yesterday", "Monday, 3 March", or with the year where it is another one. */
export function dayName(date, now = new Date()) {
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayOf(date) === dayOf(now)) return "Today";
  if (dayOf(date) === dayOf(yesterday)) return "Yesterday";
  return date.getFullYear() === now.getFullYear() ? weekday(date) : dated(date);
}

/** Puts a `<time>` into the viewer's zone; the tooltip has the whole of it, and UTC. */
export function showTime(element, at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return;
  element.dateTime = at;
  if (element.textContent !== clock(date)) element.textContent = clock(date);
  element.title = `${exact(date)} · ${at}`;
}

/** "Thursday, 26 November, 14:05". */
export const dayAndTime = (date) => `${dayName(date)}, ${clock(date)}`;

/** "14:05" of today, else with its day. */
export const sinceWhen = (date) => (dayOf(date) === dayOf(new Date()) ? clock(date) : dayAndTime(date));
