// The chat page: wires the parts to each other and holds nothing itself.
import { Actions } from "./actions.js";
import { announcer } from "./announcer.js";
import { Api } from "./api.js";
import { Badge } from "./badge.js";
import { connect } from "./client.js";
import { Composer } from "./composer.js";
import { deliverer, insist } from "./deliver.js";
import { History } from "./history.js";
import { jumps } from "./jump.js";
import { keyboard } from "./keys.js";
import { Log } from "./log.js";
import { readEntry, showReactions } from "./message.js";
import { Mine } from "./mine.js";
import { Outbox } from "./outbox.js";
import { Pending } from "./pending.js";
import { Pill } from "./pill.js";
import { Scheduled } from "./scheduled.js";
import { Scroll } from "./scroll.js";
import { refreshed } from "./snapshot.js";
import { load, save } from "./store.js";
import { switches } from "./switch.js";
import { adds, entriesOf, Timeline } from "./timeline.js";
import { toast } from "./toast.js";
import { Unread } from "./unread.js";
import { fitAboveKeyboard } from "./viewport.js";
import { onWaking } from "./wake.js";

const MOST_SHOWN = 800; // entries; a page that is open for days stays as quick as a new one

const $ = (id) => document.getElementById(id);
const { room, cursor, base, transports, interval } = $("chat").dataset;
// What this browser keeps for a room: one origin may hold several chats.
const place = base === "/api/v1" ? room : `${base}:${room}`;
const latest = $("latest")?.href; // on a page of the past
document.documentElement.classList.add("js");

const api = new Api({ base, room });
const connection = connect({
  base,
  room,
  api,
  after: cursor,
  interval: Number(interval),
  transports: transports.split(" "),
});
const deliver = deliverer(connection, api);
const command = (envelope) => insist(deliver, { room, ...envelope });
const outbox = new Outbox({ room, place, deliver });

// --- What is shown --------------------------------------------------------------------------------

const timeline = new Timeline([...$("log").querySelectorAll("article")].map(readEntry));
const mine = new Mine(JSON.parse($("chat").dataset.mine));
const me = () => load("user", "");
const scroll = new Scroll($("scroller"), $("newer"), { latest });
const unread = new Unread(place, () => scroll.stuck && !latest);
const log = new Log($("log"), {
  read: unread.before,
  decorate: (article, entry) => {
    if (entry.quote) return;
    article.classList.toggle("own", mine.isOwn(entry.id));
    showReactions(article, entry, mine.reaction(entry.id));
  },
});
const history = new History({
  scroller: $("scroller"),
  link: $("earlier"),
  oldest: () => timeline.oldest,
  older: (before, limit) => api.older(before, limit),
  show: (page) => {
    mine.add(page.mine);
    timeline.add(entriesOf(page));
    scroll.keepPlace(() => log.show(entriesOf(page)));
  },
});
const tell = toast($("toast"));
const announce = announcer($("announcer"));
const badge = new Badge();
const pill = new Pill($("pill"), $("diagnosis"), {
  wake: () => connection.wake(),
  waiting: () => outbox.waiting,
  told: $("pill-told"),
});
const pending = new Pending($("outbox"), outbox);
const scheduled = new Scheduled($("scheduled"), { api, insist: command, tell });

// --- What is done ---------------------------------------------------------------------------------

const composer = new Composer($("composer"), {
  room: place,
  send: (message) => {
    save("user", message.user);
    outbox.add(message);
    if (latest) location.assign(latest); // the outbox goes on there
    scroll.toBottom();
  },
  edit: (id, text) =>
    command({ command: "edit-message", message: { id, message: text } }).catch((error) => tell(error.message)),
  editLast: () => {
    const last = timeline.messages.findLast(({ id, deleted }) => mine.isOwn(id) && !deleted);
    if (last) composer.change(last);
  },
});
const actions = new Actions({
  log: $("log"),
  url: location.origin + api.roomUrl,
  mine,
  timeline,
  composer,
  tell,
  insist: command,
  farewell: (envelope) => api.command(envelope, { keepalive: true }),
  repaint: (article, message) => log.decorate(article, message),
});
keyboard({
  log: $("log"),
  sheet: $("keys"),
  field: composer.field,
  undo: () => tell.act(),
  run: (action, article) => actions.run(action, article),
});
switches(connection, $("way-line"));
fitAboveKeyboard(document.body);

// --- What comes -----------------------------------------------------------------------------------

connection.addEventListener("event", ({ detail: event }) => {
  pill.complete(event);
  if (latest && adds(event)) scroll.grown(1);
  else show(event, timeline.apply(event));
});

function show({ seq }, { added, changed }) {
  // Another page of this browser signs with the same name, and the server keeps the name for it.
  if (added && added.user === me()) mine.wrote(added.id);
  log.show(added ? [added] : changed);
  for (const { id, deleted } of changed) if (deleted) composer.gone(id);
  if (!added) return;
  $("nothing").hidden = true;
  const own = pending.ids.includes(added.client_id) && added.user === me();
  if (own) arrived(added.client_id);
  else {
    announce(added);
    badge.add();
  }
  scroll.grown(own ? 0 : 1);
  unread.reached(seq);
  if (scroll.stuck && log.size > MOST_SHOWN) {
    scroll.keepBottom(() => timeline.forget(log.prune(MOST_SHOWN / 2)));
    history.cut();
  }
}

/** The server has it: in the log, or (an ack that comes first) soon. */
function arrived(clientId) {
  outbox.settle(clientId);
  pending.remove(clientId);
}

outbox.addEventListener("removed", ({ detail: { item, answer } }) => {
  pill.show();
  if (item.state !== "sent") return;
  if (answer.scheduled) {
    pending.remove(item.client_id);
    scheduled.refresh();
    tell("Scheduled.");
  }
  // Its event was here before (a repeat), or will take the row away when it comes.
  else if (answer.seq <= connection.seq) pending.remove(item.client_id);
});
outbox.addEventListener("changed", ({ detail: { item } }) => {
  pill.show();
  scroll.grown(0);
  if (item.state === "failed") composer.refuse(item.reason);
});

connection.addEventListener("status", ({ detail }) => {
  pill.show(detail);
  if (detail.state === "live") outbox.flush();
});
connection.addEventListener("reset", async () => {
  const snapshot = await refreshed(api, tell);
  mine.add(snapshot.mine);
  timeline.replace(entriesOf(snapshot));
  log.replace(timeline.entries);
  for (const { client_id: id } of snapshot.messages) if (id) arrived(id);
  connection.resume(snapshot.cursor);
  scroll.toBottom();
});

onWaking(() => {
  connection.wake();
  outbox.flush();
});
addEventListener("storage", ({ key, newValue }) => {
  const id = key?.split(`quotechat:outbox:${place}:`)[1];
  if (id && newValue === null) arrived(id);
});

// --- The beginning --------------------------------------------------------------------------------

log.adopt((id) => timeline.get(id));
const jumping = jumps($("log"), {
  reach: (id) => {
    scroll.leaveBottom();
    return history.reach(id, () => log.article(id));
  },
  missing: (id) => tell(`There is no message ${id} here.`),
});
if (!jumping && !latest) scroll.toBottom();
unread.reached(connection.seq);
scheduled.refresh();
outbox.flush();
