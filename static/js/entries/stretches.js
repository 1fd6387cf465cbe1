// The log in stretches: a browser lays out, paints and searches for the pointer only those near the view
// (`content-visibility` in the style sheet), so a page of thousands of messages is as quick as one of fifty.

const FULL = 60; // children: a page of history, and the headings of its days

/** Puts an article behind another one, or first of all. */
export function put(log, article, before) {
  const stretch = before?.parentElement;
  if (before && (beside(before, "next") || stretch.childElementCount < FULL)) before.after(article);
  else begin(log, article, stretch);
}

function begin(log, article, full) {
  const stretch = document.createElement("div");
  stretch.className = "stretch";
  stretch.append(article);
  if (full) full.after(stretch);
  else log.prepend(stretch);
  for (const each of [full, stretch]) if (each) complete?.observe(each);
}

// One is left out of sight only once all of it was laid out: the browser knows its height from then on, and nothing
// jumps. In a burst more may come between two frames: it is looked at again then.
const complete =
  globalThis.ResizeObserver &&
  new ResizeObserver((all) => {
    for (const { target } of all) {
      complete.unobserve(target);
      // The last one still grows; it is looked at again when the next one begins.
      if (target.nextElementSibling) leaveOut(target, target.childElementCount);
    }
  });

const leaveOut = (stretch, laidOut) =>
  requestAnimationFrame(() => {
    if (stretch.childElementCount === laidOut) stretch.classList.add("complete");
    else complete.observe(stretch);
  });

/** Takes an article away, and its stretch with the last one in it. */
export function remove(article) {
  const stretch = article.parentElement;
  article.remove();
  if (!stretch.childElementCount) stretch.remove();
}

/** The article that is "next" or "previous", in the same stretch or in another. */
export function neighbour(article, way) {
  const stretch = article.parentElement[`${way}ElementSibling`];
  return beside(article, way) ?? (stretch && atEnd(stretch, way === "next" ? "first" : "last"));
}

/** The newest article, or null. */
export const newest = (log) => log.lastElementChild && atEnd(log.lastElementChild, "last");

function atEnd(stretch, end) {
  const element = stretch[`${end}ElementChild`];
  return element.localName === "article" ? element : beside(element, end === "first" ? "next" : "previous");
}

function beside(element, way) {
  let found = element[`${way}ElementSibling`];
  while (found && found.localName !== "article") found = found[`${way}ElementSibling`];
  return found;
}
