// The moments when a page should look at once instead of waiting for its timers.

import { every } from "../page/life.js";

export function onWaking(wake, life) {
  addEventListener("online", wake, { signal: life });
  addEventListener("pageshow", ({ persisted }) => persisted && wake(), { signal: life });
  document.addEventListener("visibilitychange", () => document.hidden || wake(), { signal: life });
  // A clock that jumped is a computer that slept.
  let last = Date.now();
  const look = () => {
    if (Date.now() - last > 20_000) wake();
    last = Date.now();
  };
  every(5_000, look, life);
}
