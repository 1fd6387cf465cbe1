// A new snapshot after the old cursor has become useless. What is unsent stays unsent.
import { Backoff } from "./backoff.js";

/** The snapshot, however long it takes. */
export async function refreshed(api, tell) {
  for (const backoff = new Backoff(); ;) {
    try {
      return await api.snapshot();
    } catch (error) {
      tell(error.message);
      await new Promise((resolve) => {
        setTimeout(resolve, backoff.next(error.retryIn ?? 0));
      });
    }
  }
}
