// Two tabs within one page: the lock and the channel by which tabs agree on one that polls for all. What browsers
// have for it reaches other pages as well, and is missing in plain http://.

/** Answers {locks, Channel}, as `navigator.locks` and `BroadcastChannel`, for the readers of one run. */
export function tabsOfOnePage() {
  const last = new Map(); // name → the end of the last one that holds or waits
  const channels = new Set();

  const locks = {
    request(name, { signal }, hold) {
      const before = last.get(name) ?? Promise.resolve();
      const held = before.then(() => (signal.aborted ? undefined : hold()));
      last.set(
        name,
        held.catch(() => {}),
      );
      return Promise.race([held, aborted(signal)]);
    },
  };

  class Channel {
    onmessage = null;
    constructor(name) {
      this.name = name;
      channels.add(this);
    }
    postMessage(data) {
      for (const other of channels) {
        if (other !== this && other.name === this.name) queueMicrotask(() => other.onmessage?.({ data }));
      }
    }
    close() {
      channels.delete(this);
      this.onmessage = null;
    }
  }
  return { locks, Channel };
}

const aborted = (signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
