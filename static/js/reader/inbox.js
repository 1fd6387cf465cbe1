// What is new in the rooms of an account: told over the socket, or asked for beside a poll. Every value is absolute.
import { jittered } from "../backoff.js";

/** What a client knows of its inbox. `apply` takes an envelope, or the answer to a poll. */
export class Inbox {
  cursor = "0";
  rooms = {};

  /** Whether anything has changed. */
  apply({ command, cursor = this.cursor, complete = false, rooms = {}, gone = [] }) {
    this.cursor = cursor;
    if (command === "news") {
      for (const [name, counts] of Object.entries(rooms))
        this.rooms[name] = counted({ ...this.rooms[name], ...counts });
    } else {
      if (complete) this.rooms = {};
      Object.assign(this.rooms, rooms);
      for (const name of gone) delete this.rooms[name];
    }
    return complete || gone.length > 0 || Object.keys(rooms).length > 0;
  }
}

/** An entry whose counts have moved; the arithmetic is the protocol's (§11). */
function counted({ unread: _, ...entry }) {
  const { last = 0, messages = 0, read } = entry;
  return read && last > read.id ? { ...entry, unread: Math.max(1, messages - read.messages) } : entry;
}

const rest = (milliseconds, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end); // it lives on: there are many pauses within it
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });

/** Asks for the inbox again and again, held by the server, until `signal` ends it. */
export async function followInbox(link, signal) {
  while (!signal.aborted) {
    try {
      const answer = await link.api.inbox(link.inboxCursor(), { wait: 25, signal });
      link.inboxTold(answer);
      if (answer.retry_in_ms) await rest(jittered(answer.retry_in_ms), signal); // it was answered early
    } catch (error) {
      if (signal.aborted || error.final) return; // the events' own transport says why
      await rest(Math.max(link.interval, error.retryIn ?? 0), signal);
    }
  }
}
