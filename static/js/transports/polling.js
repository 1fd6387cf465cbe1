// Events by asking for them: held by the server (long), or answered at once (short).
import { jittered } from "../backoff.js";
import { Ended } from "./ended.js";

/** Ask, and let the server hold the request until there is something. */
export async function longPoll(link, signal) {
  for (let wait = 0; ; wait = 25) {
    const page = await ask(link, signal, wait);
    // The first answer comes at once and proves nothing: a proxy may still cut the long ones.
    if (wait) link.proved();
    if (page.retry_in_ms) await link.pause(jittered(page.retry_in_ms, link.random), signal);
  }
}

/** Ask, pause, ask again. */
export async function shortPoll(link, signal) {
  for (;;) {
    const page = await ask(link, signal, 0);
    link.proved();
    await link.pause(Math.max(link.interval, jittered(page.retry_in_ms ?? 0, link.random)), signal);
  }
}

/** One request; then more of them while the server has more. */
async function ask(link, signal, wait) {
  for (;;) {
    const page = await link.api.events(link.cursor(), { wait, signal });
    // An abort can come between the answer and this line; what was read then belongs to the next transport.
    signal.throwIfAborted();
    link.heard();
    if (!page.events.every((event) => link.deliver(event))) {
      throw new Ended("An event was missing.", { atOnce: true });
    }
    if (!page.more) {
      link.caughtUp(page.cursor);
      return page;
    }
  }
}
