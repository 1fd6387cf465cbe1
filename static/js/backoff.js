// Full jitter: wait a random part of a ceiling that doubles. A herd of pages that lost the same
// server spreads out instead of coming back in step.

export class Backoff {
  #attempt = 0;

  /** All times in milliseconds. */
  constructor({ min = 500, max = 30_000, random = Math.random } = {}) {
    this.min = min;
    this.max = max;
    this.random = random;
  }

  /** The next pause. `atLeast` is what the server asked for; the jitter comes on top of it. */
  next(atLeast = 0) {
    const ceiling = Math.min(this.max, this.min * 2 ** this.#attempt);
    this.#attempt += 1;
    return jittered(atLeast, this.random) + Math.round(this.random() * ceiling);
  }

  /** Call it once a connection has been stable, never when it merely opened: a server that
   *  accepts and then closes would otherwise be called without a pause. */
  reset() {
    this.#attempt = 0;
  }
}

/** A pause that the server asked for, stretched by up to a quarter. */
export const jittered = (milliseconds, random = Math.random) => Math.round(milliseconds * (1 + random() / 4));
