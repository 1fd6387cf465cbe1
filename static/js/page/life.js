// What lives as long as its room is shown: `life` is an AbortSignal, which ends with it; without one it lives as the page.

/** Calls `act` every so many milliseconds. */
export function every(milliseconds, act, life) {
  const timer = setInterval(act, milliseconds);
  atEnd(life, () => clearInterval(timer));
}

/** Calls `act` when another room is shown; at once if that is so already. */
export function atEnd(life, act) {
  if (life?.aborted) act();
  else life?.addEventListener("abort", act, { once: true });
}

/** Calls `act` when the page is left, or its room. */
export function onLeaving(life, act) {
  addEventListener("pagehide", act, { signal: life });
  atEnd(life, act);
}
