// A new snapshot after the old cursor has become useless. What is unsent stays unsent.
import { Backoff } from "../backoff.js";
import { reasonOf } from "../problem.js";

/** The snapshot, however long it takes. */
export async function refreshed(api, tell) {
  for (const backoff = new Backoff(); ;) {
    try {
      return await api.snapshot();
    } catch (error) {
      tell(reasonOf(error));
      await new Promise((resolve) => {
        setTimeout(resolve, backoff.next(error.retryIn ?? 0));
      });
    }
  }
}
