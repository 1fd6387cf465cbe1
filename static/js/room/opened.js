// The room of this page, and the connection to it: what opens before all else is made.
import { Api } from "../api.js";
import { connect } from "../client.js";
import { deliverer } from "../live/deliver.js";
import { Outbox } from "../outbox/outbox.js";

export const $ = (id) => document.getElementById(id);

/** The beginning of the page's parts. Whatever hears the connection has to listen within the same task. */
export function opened() {
  const { room, cursor: after, base, transports, interval, signIn } = $("chat").dataset;
  const api = new Api({ base, room });
  const connection = connect({
    base,
    room,
    api,
    after,
    interval: Number(interval),
    transports: transports.split(" "),
    inbox: $("rooms").dataset.inbox !== undefined,
    atOnce: true,
  });
  connection.addEventListener("inbox", ({ detail: { rooms } }) =>
    document.dispatchEvent(new CustomEvent("inbox", { detail: { rooms } })),
  );
  // What was not sent stays in this browser, and is sent after the next sign-in.
  connection.addEventListener("signed-out", () => signIn && location.assign(signIn));
  // What this browser keeps for a room: one origin may hold several chats.
  const place = base === "/api/v1" ? room : `${base}:${room}`;
  const outbox = new Outbox({ room, place, deliver: deliverer(connection, api) });
  const latest = $("latest")?.href; // on a page of the past
  return { room, place, latest, api, connection, outbox };
}
