// A story as a picture that is a text as well: a list of moments, with an arrow in each that goes between two actors.
// The server draws the same (templates/_story.html).

/** The classes of a row: from which column to which, and what became of it. Pure. */
export function classesOf({ from, to, kind }, actors) {
  const one = actors.indexOf(from) + 1;
  const other = to === null ? one : actors.indexOf(to) + 1;
  const [left, right] = [Math.min(one, other), Math.max(one, other)];
  const way = to === null ? "note" : one < other ? "to-right" : "to-left";
  return ["what", way, `left-${left}`, `right-${right}`, `span-${right - left + 1}`, kind].filter(Boolean).join(" ");
}

/** A time as people read it. Pure. */
export const timeOf = (at) => (at >= 10_000 ? `${Math.round(at / 100) / 10} s` : `${Math.round(10 * at) / 10} ms`);

/** What became of a message. Pure. */
export function fateOf({ arrived }) {
  if (!arrived.length) return "lost";
  return arrived.length === 1 ? "arrived" : `arrived ${arrived.length} times`;
}

function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** The figure of a story. */
export function pictureOf(story) {
  const heads = make("p", "heads", ...story.actors.map((actor) => make("span", "", actor)));
  heads.setAttribute("aria-hidden", "true");
  const figure = make(
    "figure",
    `story actors-${story.actors.length}`,
    make("figcaption", story.wrong ? "wrong" : "right", story.told),
  );
  figure.append(heads, make("ol", "moments", ...story.rows.map((row) => momentOf(row, story.actors))));
  if (story.messages.length) figure.append(tableOf(story.messages));
  return figure;
}

function momentOf(row, actors) {
  const whence = make("span", "hidden-text", row.to === null ? `${row.from}: ` : `${row.from} to ${row.to}: `);
  const what = make("span", classesOf(row, actors), whence, make("span", "text", row.text));
  return make("li", "", make("span", "at", timeOf(row.at)), make("span", "lines", what));
}

function tableOf(messages) {
  const head = make("tr", "", ...["Message", "Sent at", "Arrived at", "Fate"].map((name) => make("th", "", name)));
  for (const cell of head.cells) cell.scope = "col";
  const rows = messages.map((message) => {
    const name = make("th", "", `“${message.text}”`);
    name.scope = "row";
    const fate = fateOf(message);
    const cells = [timeOf(message.at), message.arrived.map(timeOf).join(", ") || "–"].map((text) =>
      make("td", "", text),
    );
    return make("tr", "", name, ...cells, make("td", fate === "arrived" ? "" : "wrong", fate));
  });
  return make(
    "table",
    "",
    make("caption", "", "What became of each message"),
    make("thead", "", head),
    make("tbody", "", ...rows),
  );
}
