// Why a transport stopped, and when to come back.

export class Ended extends Error {
  /** `retryIn`: what the server asked for, in ms. `atOnce`: nothing is wrong with the network. */
  constructor(message, { retryIn = 0, atOnce = false } = {}) {
    super(message);
    this.retryIn = retryIn;
    this.atOnce = atOnce;
  }
}

/** Events are missing: what comes does not go on from the cursor. */
export class Missing extends Ended {
  constructor(message) {
    super(message, { atOnce: true });
  }
}
