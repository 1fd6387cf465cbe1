// The room of this page, and the connection to it: what opens before all else is made.
import { Api } from "../api.js";
import { connect } from "../client.js";
import { deliverer } from "../live/deliver.js";
import { SharedSocket } from "../live/shared_socket.js";
import { Outbox } from "../outbox/outbox.js";

export const $ = (id) => document.getElementById(id);

/** The socket of the page, which its rooms use one after the other. */
export const sharedSocket = new SharedSocket();
const outboxes = new Map(); // place → what sends there, also after the room was left

/**
 * True if this browser is signed in, though its connection was told that the session has ended: the password was given
 * in another tab, and the session has a new cookie, which may be a moment behind.
 */
export async function isSignedIn(api, pause = 500) {
  const { account } = await api.get("/me").catch(() => ({}));
  if (account || !pause) return Boolean(account);
  await new Promise((resolve) => setTimeout(resolve, pause));
  return isSignedIn(api, 0);
}

/** The address to sign in at, which leads back to this page; `base` is that of the API. */
function signInFrom(signIn, base) {
  const next = location.pathname.slice(base.length - "/api/v1".length) + location.search;
  return `${signIn}?${new URLSearchParams({ next })}`;
}

/** The beginning of the parts of a room, which live as long as `life`; `inbox` is that of the room before. Whatever
 *  hears the connection has to listen within the same task. */
export function openRoom({ life, inbox = $("rooms").dataset.inbox !== undefined }) {
  const { room, cursor: after, base, transports, interval, signIn, owner: by } = $("chat").dataset;
  const api = new Api({ base, room });
  const connection = connect({
    base,
    room,
    api,
    after,
    interval: Number(interval),
    transports: transports.split(" "),
    inbox,
    WebSocket: sharedSocket.WebSocket,
    atOnce: true,
  });
  const tellColumn = ({ rooms }) => document.dispatchEvent(new CustomEvent("inbox", { detail: { rooms } }));
  connection.addEventListener("inbox", ({ detail }) => tellColumn(detail));
  if (Object.keys(inbox.rooms ?? {}).length) tellColumn(inbox);
  // What was not sent stays in this browser, and is sent after the next sign-in.
  connection.addEventListener("signed-out", async () => {
    if (!signIn) return; // told in the page
    if (await isSignedIn(api)) location.reload();
    else location.assign(signInFrom(signIn, base));
  });
  // What this browser keeps for a room: one origin may hold several chats.
  const place = base === "/api/v1" ? room : `${base}:${room}`;
  outboxes.get(place)?.end();
  const outbox = new Outbox({ room, place, by, deliver: deliverer(connection, api) });
  outboxes.set(place, outbox);
  const latest = $("latest")?.href; // on a page of the past
  return { life, room, place, by, latest, api, connection, outbox };
}
