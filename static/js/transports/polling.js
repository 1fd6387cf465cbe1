// Events by asking for them: held by the server (long), or answered at once (short).
import { jittered } from "../backoff.js";
import { seqOf } from "../cursor.js";
import { followInbox } from "../reader/inbox.js";
import { Missing } from "./ended.js";

/** Ask, pause, ask again. */
export async function shortPoll(link, signal) {
  if (link.inbox) followInbox(link, signal);
  for (;;) {
    const page = await ask(link, signal, 0);
    link.proved();
    await link.pause(Math.max(link.interval, jittered(page.retry_in_ms ?? 0, link.random)), signal);
  }
}

/** Ask, and let the server hold the request until there is something.
 *
 *  A browser opens six connections to a server (HTTP/1.1), and a held request takes one. So of all tabs on
 *  a room one polls, the one that holds the lock, and tells the others what it got. Each tab has its own
 *  cursor all the same: what it was not told it asks for. */
export async function longPoll(link, signal) {
  if (!link.locks || !link.Channel) return lead(link, signal, () => {});
  const name = `quotechat:${link.base}:${link.room}`;
  const channel = new link.Channel(name);
  const ours = new AbortController();
  signal.addEventListener("abort", () => ours.abort(signal.reason), { once: true });
  const ended = ours.signal;
  const tell = ({ events, cursor, inbox }) => channel.postMessage({ events, cursor, inbox });
  try {
    await Promise.race([
      follow(link, ended, channel),
      link.locks.request(name, { signal: ended }, () => lead(link, ended, tell)),
    ]);
  } finally {
    ours.abort();
    channel.close();
  }
  return undefined;
}

async function lead(link, signal, tell) {
  const place = link.holds.enter();
  // The other tabs on the room are told by this one.
  if (link.inbox) followInbox(telling(link, tell), signal);
  try {
    for (let wait = 0; ;) {
      const page = await ask(link, signal, wait, tell);
      // The first answer comes at once and proves nothing: a proxy may still cut the long ones.
      if (wait) link.proved();
      wait = place.mayHold() ? 25 : 0;
      const pause = Math.max(jittered(page.retry_in_ms ?? 0, link.random), wait ? 0 : link.interval);
      if (pause) await link.pause(pause, signal);
    }
  } finally {
    place.leave();
  }
}

/** The link of the tab that polls, which passes on what the inbox has. */
const telling = (link, tell) => ({
  api: link.api,
  interval: link.interval,
  inboxCursor: () => link.inboxCursor(),
  inboxTold: (inbox) => {
    link.inboxTold(inbox);
    tell({ inbox });
  },
});

/** Lives on what another tab tells. Rejects when asking fails; never resolves. */
function follow(link, signal, channel) {
  return new Promise((_resolve, reject) => {
    let asking = null;
    const catchUp = () => {
      asking ??= ask(link, signal, 0).finally(() => {
        asking = null;
      });
      asking.catch(reject);
    };
    channel.onmessage = ({ data: { events, cursor, inbox } }) => {
      link.heard();
      if (inbox) {
        link.inboxTold(inbox);
        return;
      }
      if (!events.every((event) => link.deliver(event, false)) || seqOf(link.cursor()) < seqOf(cursor)) catchUp();
      else link.caughtUp(link.cursor());
      link.proved();
    };
    catchUp();
  });
}

/** One request; then more of them while the server has more. */
async function ask(link, signal, wait, tell = () => {}) {
  for (;;) {
    const page = await link.api.events(link.cursor(), { wait, signal });
    // An abort can come between the answer and this line; what was read then belongs to the next transport.
    signal.throwIfAborted();
    link.heard();
    if (!page.events.every((event) => link.deliver(event))) {
      throw new Missing("An event was missing.");
    }
    tell(page);
    if (!page.more) {
      link.caughtUp(page.cursor);
      return page;
    }
  }
}
