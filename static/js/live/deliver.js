// Sends an envelope by the open socket or by POST, and repeats what may be repeated.
import { Backoff } from "../backoff.js";
import { newId } from "../page/ids.js";

/** Over the socket where there is an open one, else by POST. One answer, or it throws. */
export const deliverer = (connection, api) => (envelope) =>
  connection.canAsk ? connection.ask({ room: api.room, ...envelope }) : api.command(envelope);

/** Repeated a few times with one client_id. */
export async function insist(deliver, envelope, { tries = 6, backoff = new Backoff({ max: 5_000 }) } = {}) {
  const command = { client_id: newId(), ...envelope };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await deliver(command);
    } catch (error) {
      if (error.final || attempt === tries) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, backoff.next(error.retryIn ?? 0));
      });
    }
  }
}

/** Runs tasks about one subject one after the other, so that what was asked last holds; others at once. */
export class Lanes {
  #last = new Map(); // subject → a promise of its last task

  run(subject, task) {
    if (subject === null) return task();
    const done = (this.#last.get(subject) ?? Promise.resolve()).then(task, task);
    const forget = () => this.#last.get(subject) === done && this.#last.delete(subject);
    this.#last.set(subject, done);
    done.then(forget, forget);
    return done;
  }
}
