// Runs of text to elements. There is no HTML anywhere, so there is nothing to sanitise.

const ELEMENTS = [
  ["bold", "strong"],
  ["italic", "em"],
  ["underline", "u"],
  ["code", "code"],
];

// Elements for one message; the server sends no more, but events that version 0.1 stored may have thousands.
const MOST_RUNS = 200;

const shown = new WeakMap(); // element → the runs in it, as JSON

/** Fills an element with a message's text: its runs, or the plain text where nothing is formatted. What is shown
 *  already stays, and with it what a reader has selected in it. */
export function showText(element, { message = "", runs }) {
  const all = runs && runs.length <= MOST_RUNS ? runs : [{ text: message }];
  const key = JSON.stringify(all);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  const nodes = all.map((run) => showRun(run, element.ownerDocument));
  const old = element.childNodes;
  // As the server rendered it.
  if (old.length === nodes.length && nodes.every((node, i) => node.isEqualNode(old[i]))) return;
  element.replaceChildren(...nodes);
}

/** Sets a text that has no markup, if it is another one. */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

function showRun(run, document) {
  let node = document.createTextNode(run.text);
  for (const [style, name] of ELEMENTS) {
    if (run[style]) node = wrap(document.createElement(name), node);
  }
  // What was written in several lines of code stands in a block of its own.
  if (run.code && run.text.includes("\n")) node.className = "block";
  if (run.mention) {
    node = wrap(document.createElement("span"), node);
    node.className = "mention";
  }
  return run.href && /^https?:\/\//i.test(run.href) ? wrap(link(document, run.href), node) : node;
}

function wrap(element, child) {
  element.append(child);
  return element;
}

function link(document, href) {
  const a = document.createElement("a");
  a.href = href;
  a.rel = "noopener noreferrer nofollow ugc";
  a.target = "_blank";
  return a;
}
