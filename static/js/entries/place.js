// Where a popover stands: beside what opened it, and always inside the window. On phones the style sheet makes it a
// sheet at the bottom.

const GAP = 4; // px
const OPEN = "dialog[open], [popover]:popover-open";

/** Whether something lies over the page, which Esc closes before it does anything else. */
export const isAnythingOpen = () => document.querySelector(OPEN) !== null;

/** The corner for a box of `width` and `height` beside `anchor`, in a window; below it if there is room. Pure. */
export function corner(anchor, { width, height }, space) {
  const below = anchor.bottom + GAP;
  const top = below + height <= space.height ? below : anchor.top - GAP - height;
  const isLeft = anchor.left + anchor.right < space.width;
  const left = Math.min(isLeft ? anchor.left : anchor.right - width, space.width - width - GAP);
  return { left: Math.max(GAP, left), top: Math.max(GAP, Math.min(top, space.height - height - GAP)) };
}

/** Opens a popover beside an element. */
export function openBeside(popover, element) {
  popover.showPopover();
  place(popover, element);
}

/** Places a popover that buttons open by themselves, beside the button of `root` that has opened it. */
export function opensBeside(popover, root) {
  popover.addEventListener("toggle", ({ newState }) => {
    if (newState === "open") place(popover, root.querySelector(`[popovertarget="${popover.id}"]`));
  });
}

function place(popover, element) {
  const { style } = popover;
  if (matchMedia("(max-width: 40rem)").matches) {
    style.removeProperty("left");
    style.removeProperty("top");
    return;
  }
  const space = { width: document.documentElement.clientWidth, height: innerHeight };
  const { left, top } = corner(element.getBoundingClientRect(), popover.getBoundingClientRect(), space);
  style.setProperty("left", `${left}px`);
  style.setProperty("top", `${top}px`);
}
