// Events over a WebSocket. Runs until the socket ends; the link keeps the cursor.
import { Problem } from "../problem.js";
import { Ended, Missing } from "./ended.js";

const INBOX = "@inbox";

export function websocket(link, signal) {
  const url = new URL(`${link.base}/ws`, link.origin);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ room: link.room, after: link.cursor() });
  return new Promise((_resolve, reject) => {
    const socket = new link.WebSocket(url);
    let retryIn = 0;
    const end = (reason) => {
      clearTimeout(opening);
      // Silence the handlers: a socket that was given up may still have messages in its queue.
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
      reject(reason);
    };
    // A proxy may swallow the handshake and never answer; one that was open before may be gone without a word.
    const { isReused = false } = socket;
    const silent = () => end(new Ended("The connection could not be opened.", { atOnce: isReused }));
    const opening = setTimeout(silent, isReused ? 4_000 : 10_000);
    signal.addEventListener("abort", () => end(signal.reason), { once: true });

    const receive = {
      heartbeat: ({ cursors }) => {
        if (cursors?.[INBOX]) link.inboxTold({ cursor: cursors[INBOX] });
        if (!link.keepsUp(cursors?.[link.room])) end(new Missing("Behind the server."));
      },
      typing: (envelope) => link.typingTold(envelope),
      inbox: (envelope) => link.inboxTold(envelope),
      news: (envelope) => link.inboxTold(envelope),
      "caught-up": ({ room, cursor }) => {
        if (room === INBOX) {
          link.inboxTold({ cursor });
          return;
        }
        clearTimeout(opening);
        if (link.inbox) socket.send(JSON.stringify({ command: "subscribe", room: INBOX, after: link.inboxCursor() }));
        link.opened(socket);
        link.caughtUp(cursor);
        link.proved();
      },
      reset: ({ error }) => end(new Problem(error, 410)),
      error: (envelope) => {
        retryIn = envelope.error?.retry_in_ms ?? retryIn;
        if (envelope.client_id) link.answered(envelope);
        else if (envelope.error?.code !== "malformed-envelope") end(new Problem(envelope.error));
      },
      ack: (envelope) => link.answered(envelope),
      pong: (envelope) => link.answered(envelope),
    };
    socket.onmessage = ({ data }) => {
      link.heard();
      const envelope = JSON.parse(data);
      if (typeof envelope.seq === "number" && envelope.command !== "ack") {
        if (!link.deliver(envelope)) end(new Missing("An event was missing."));
      } else {
        receive[envelope.command]?.(envelope);
      }
    };
    socket.onclose = ({ code }) => {
      if (code === 4401) {
        end(new Problem({ code: "unauthenticated", title: "You are signed out." }, 401));
        return;
      }
      // 1012: the server restarts, and everybody was told at the same moment.
      const pause = code === 1012 ? Math.max(retryIn, 400) : retryIn;
      end(new Ended(code === 1012 ? "The server restarts." : "The connection was closed.", { retryIn: pause }));
    };
  });
}
