// Uploads a file in pieces; goes on where it was after a lost connection or a restart of the server.
import { Backoff } from "../backoff.js";
import { Problem } from "../problem.js";

const PIECE = 1024 * 1024;

/** Resolves to the file as messages have it. `progress(part)` is told how much has gone, 0 to 1; throws Problem where
 *  the server refused, and the signal's reason where it was cancelled. */
export async function upload(api, file, { signal, progress = () => {}, backoff = new Backoff(), wait = pause } = {}) {
  const persist = (ask) => insist(ask, { signal, backoff, wait });
  const begun = await persist(() =>
    request(api, "POST", `${api.roomUrl}/files?${new URLSearchParams({ name: file.name })}`, signal, undefined, {
      "Upload-Complete": "?0",
      "Upload-Length": String(file.size),
    }),
  );
  const url = begun.headers.get("Location");
  signal?.addEventListener("abort", () => api.fetch(url, { method: "DELETE" }).catch(() => {}));
  let offset = 0;
  for (;;) {
    const end = Math.min(offset + PIECE, file.size);
    const last = end === file.size;
    const answer = await persist(async () => {
      const piece = file.slice(offset, end);
      const sent = await request(api, "PATCH", url, signal, piece, {
        "Content-Type": "application/partial-upload",
        "Upload-Offset": String(offset),
        "Upload-Complete": last ? "?1" : "?0",
      }).catch((error) => {
        if (error.code !== "conflict") throw error;
      });
      if (sent) return sent;
      // An earlier try came through, and only its answer was lost.
      offset = Number((await request(api, "HEAD", url, signal)).headers.get("Upload-Offset"));
      return null;
    });
    if (!answer) continue;
    if (last) return (await answer.json()).file;
    offset = end;
    progress(offset / file.size);
  }
}

async function request(api, method, url, signal, body, headers = {}) {
  const options = { method, signal, body, headers: { Accept: "application/json", ...headers }, cache: "no-store" };
  const response = await api.fetch(url, options);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem(problem, response.status, response.headers.get("Retry-After"));
}

/** Repeats `ask` until there is an answer. */
async function insist(ask, { signal, backoff, wait }) {
  for (;;) {
    signal?.throwIfAborted();
    try {
      const answer = await ask();
      backoff.reset();
      return answer;
    } catch (error) {
      if (error.final || signal?.aborted) throw error;
      await wait(backoff.next(error.retryIn ?? 0));
    }
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
