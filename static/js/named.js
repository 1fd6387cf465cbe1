// Reading by a named cursor: the server remembers how far, under a name.
import { Backoff } from "./backoff.js";
import { Problem } from "./problem.js";

/**
 * The events after the positions that the server keeps under `name`, without end, in order for each room. Asking for the
 * next one acknowledges the one before, so an event at which the program ends comes again.
 * @param {import("./api.js").Api} api
 * @param {string} name
 * @param {object} [options]
 * @param {string[] | "all"} [options.rooms] follows these from here on; without, it has to be there already
 * @param {string} [options.from] where it begins in rooms that are new to it
 * @param {(room: string, gap: {from: number, to: number}) => void} [options.onGap] events that were cut unread
 * @param {AbortSignal} [options.signal] ends it
 */
export async function* cursor(api, name, { rooms, from = "now", onGap, signal, backoff = new Backoff() } = {}) {
  const path = `/cursors/${encodeURIComponent(name)}`;
  const ask = (method, end, body) => patiently(() => api.request(method, api.base + path + end, { body, signal }));
  const done = (room, cursor) => ask("PUT", "/position", { rooms: { [room]: cursor } });

  async function patiently(attempt) {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (signal?.aborted || (error instanceof Problem && error.final)) throw error;
        await pause(backoff.next(error.retryIn), signal);
      }
    }
  }

  if (rooms !== undefined) await ask("PUT", "", { rooms, from });
  while (!signal?.aborted) {
    const answer = await ask("GET", "/events?wait=25");
    backoff.reset();
    for (const [room, { events, gap }] of Object.entries(answer.rooms)) {
      if (gap) onGap?.(room, gap);
      for (const event of events) {
        yield event;
        await done(room, event.cursor);
      }
      if (gap && events.length === 0) await done(room, String(gap.to));
    }
    if (answer.retry_in_ms) await pause(answer.retry_in_ms, signal);
  }
}

const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end); // it lives on: there are many pauses within it
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
