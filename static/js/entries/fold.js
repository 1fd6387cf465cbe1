// One person's message costs the others no screens: rows of empty lines are shown as one, and what is taller than its
// place (max-block-size in the style sheet) shows its beginning and a button for all of it.

const MOST_GAPS = 50; // in one text; beyond that its height alone is bounded
// Three ends of line and more, with nothing between them that can be seen.
const GAP = /\n(?:(?:[^\S\n]|\p{Cf}|[\u115F\u1160\u2800\u3164\uFFA0])*\n){2,}/u;

const places = globalThis.ResizeObserver && new ResizeObserver((all) => all.forEach(({ target }) => measure(target)));

/** Call it after the text of an element was set. Its `textContent` stays as it is. */
export function fold(element) {
  const text = element.textContent;
  if (GAP.test(text)) closeGaps(element);
  const canBeTall = text.length > 100 || text.split("\n").length > 8;
  if (canBeTall) places?.observe(element);
  else {
    places?.unobserve(element);
    unfolded(element);
  }
}

function closeGaps(element) {
  const document = element.ownerDocument;
  const walker = document.createTreeWalker(element, 4); // texts
  let left = MOST_GAPS;
  for (let node = walker.nextNode(); node && left > 0; node = walker.nextNode()) {
    const [gap] = node.parentElement.className === "gap" ? [] : (GAP.exec(node.data) ?? []);
    if (!gap) continue;
    const rest = node.splitText(node.data.indexOf(gap) + 1);
    rest.splitText(gap.length - 2); // the walker comes to it next
    const hidden = document.createElement("span");
    hidden.className = "gap";
    rest.replaceWith(hidden);
    hidden.append(rest);
    left -= 1;
  }
}

const buttonOf = (element) => (element.nextElementSibling?.matches(".unfold") ? element.nextElementSibling : null);

/** Offers the button where something is hidden; it stays once it was used. */
function measure(element) {
  const tall = element.scrollHeight > element.clientHeight + 1;
  if (element.dataset.fold === "all" || tall === Boolean(buttonOf(element))) return;
  if (tall) folded(element);
  else unfolded(element);
}

function folded(element) {
  const button = element.ownerDocument.createElement("button");
  const show = (all) => {
    element.dataset.fold = all ? "all" : "some";
    button.textContent = all ? "Show less" : "Show all";
    button.setAttribute("aria-expanded", String(all));
  };
  button.type = "button";
  button.className = "unfold";
  button.addEventListener("click", () => show(element.dataset.fold === "some"));
  // What has the focus must be seen, such as a link in the part that is hidden.
  element.addEventListener("focusin", () => show(true), { once: true });
  show(false);
  element.after(button);
}

function unfolded(element) {
  buttonOf(element)?.remove();
  delete element.dataset.fold;
}
