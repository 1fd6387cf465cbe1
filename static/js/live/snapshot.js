// A new snapshot after the old cursor has become useless. What is unsent stays unsent.
import { Backoff } from "../backoff.js";
import { reasonOf } from "../problem.js";

/** The snapshot, however long it takes; null if `life` has ended before. */
export async function refreshed(api, tell, life) {
  for (const backoff = new Backoff(); !life?.aborted;) {
    try {
      return await api.snapshot();
    } catch (error) {
      tell(reasonOf(error));
      await new Promise((resolve) => {
        setTimeout(resolve, backoff.next(error.retryIn ?? 0));
      });
    }
  }
  return null;
}
