// What has the focus may go with what is done: then it is given on, and the keyboard goes on from there.

/** Calls `act`, and then `next` if what had the focus is gone or hidden. */
export function keepFocus(act, next) {
  const before = globalThis.document?.activeElement;
  act();
  if (before && before !== document.body && (!before.isConnected || before.closest("[hidden]"))) next();
}
