// Uploads a file in pieces; goes on where it was after a lost connection, a restart of the server or of the page.
import { Backoff } from "../backoff.js";
import { Problem } from "../problem.js";

const PIECE = 1024 * 1024;
const SENT = -1;

/** Resolves to the file as messages have it; to null where it went on at `known`, and was sent meanwhile.
 *  `begun(url)` is told where it goes on, `progress(part)` how much has gone, 0 to 1. Throws Problem where the server
 *  refused, and the signal's reason where it was cancelled. */
export async function upload(
  api,
  file,
  { known = null, signal, begun = () => {}, progress = () => {}, backoff = new Backoff(), wait = pause } = {},
) {
  const persist = (ask) => insist(ask, { signal, backoff, wait });
  let offset = known ? await persist(() => offsetOf(api, known, signal)) : null;
  if (offset === SENT) return null;
  const url = offset === null ? await persist(() => begin(api, file, signal)) : known;
  begun(url);
  signal?.addEventListener("abort", () => api.fetch(url, { method: "DELETE" }).catch(() => {}));
  offset ??= 0;
  if (offset) progress(offset / file.size);
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
      // An earlier try came through, and only its answer was lost; or it is still on its way.
      const found = await offsetOf(api, url, signal);
      if (found === null || found === SENT) throw new Problem({ title: "This file is not there any more." }, 404);
      if (found === offset) await wait(backoff.next(0));
      offset = found;
      return null;
    });
    if (!answer) continue;
    if (last) return (await answer.json()).file;
    offset = end;
    progress(offset / file.size);
  }
}

async function begin(api, file, signal) {
  const address = `${api.roomUrl}/files?${new URLSearchParams({ name: file.name })}`;
  const about = { "Upload-Complete": "?0", "Upload-Length": String(file.size) };
  return (await request(api, "POST", address, signal, undefined, about)).headers.get("Location");
}

/** How much of an upload has come: SENT if it is a message's by now, null if there is none (any more). */
async function offsetOf(api, url, signal) {
  try {
    const found = (await request(api, "HEAD", url, signal)).headers.get("Upload-Offset");
    return found === null ? SENT : Number(found);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
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
