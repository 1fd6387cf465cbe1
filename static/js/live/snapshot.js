// A new snapshot after the old cursor has become useless. What is unsent stays unsent.
import { Backoff } from "../backoff.js";
import { reasonOf } from "../problem.js";

/** The news of a connection that nothing is to be read, by the code of the problem. */
const ENDS = { "room-unknown": "gone", unauthenticated: "signed-out" };

/** The snapshot, however long it takes; null if `life` has ended before, or reading has: `connection` tells that. */
export async function refreshed({ connection, api, tell, life }) {
  for (const backoff = new Backoff(); !life?.aborted;) {
    try {
      return await api.snapshot();
    } catch (error) {
      if (ENDS[error.code]) {
        connection.dispatchEvent(new CustomEvent(ENDS[error.code], { detail: error }));
        return null;
      }
      tell(reasonOf(error));
      await new Promise((resolve) => {
        setTimeout(resolve, backoff.next(error.retryIn ?? 0));
      });
    }
  }
  return null;
}
