// The moments when a page should look at once instead of waiting for its timers.

export function onWaking(wake) {
  addEventListener("online", wake);
  addEventListener("pageshow", ({ persisted }) => persisted && wake());
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  // A clock that jumped is a computer that slept.
  let last = Date.now();
  setInterval(() => {
    if (Date.now() - last > 20_000) wake();
    last = Date.now();
  }, 5_000);
}
