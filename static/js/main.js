// The chat page: wires the parts to each other and holds nothing itself.
import { Actions } from "./actions.js";
import { announcer } from "./announcer.js";
import { Api } from "./api.js";
import { Badge } from "./badge.js";
import { connect } from "./client.js";
import { Composer } from "./composer.js";
import { deliverer, insist } from "./deliver.js";
import { history } from "./history.js";
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
import { entriesOf, Timeline } from "./timeline.js";
import { toast } from "./toast.js";
import { onWaking } from "./wake.js";

const $ = (id) => document.getElementById(id);
const { room, cursor, base, transports, interval } = $("chat").dataset;
document.documentElement.classList.add("js");

const api = new Api({ base, room });
const connection = connect({ base, room, api, after: cursor, interval: Number(interval), transports: transports.split(" ") });
const deliver = deliverer(connection, api);
const command = (envelope) => insist(deliver, { room, ...envelope });
const outbox = new Outbox({ room, deliver });

const timeline = new Timeline([...$("log").querySelectorAll("article")].map(readEntry));
const mine = new Mine(JSON.parse($("chat").dataset.mine));
const me = () => load("user", "");
const log = new Log($("log"), (article, entry) => {
  if (entry.quote) return;
  article.classList.toggle("own", mine.isOwn(entry.id));
  showReactions(article, entry, mine.reaction(entry.id));
});
const tell = toast($("toast"));
const announce = announcer($("announcer"));
const badge = new Badge();
const scroll = new Scroll($("scroller"), $("newer"));
const pill = new Pill($("pill"), $("diagnosis"), { wake: () => connection.wake(), waiting: () => outbox.waiting });
const pending = new Pending($("outbox"), outbox);
const scheduled = new Scheduled($("scheduled"), { api, insist: command, tell });
const actions = new Actions({ log: $("log"), room, mine, insist: command, tell, composer: () => composer,
  timeline: () => timeline, quoted: () => tell("Saved as a quote."),
  repaint: (article, message) => log.decorate(article, message) });
const composer = new Composer($("composer"), {
  room,
  send: (message) => { save("user", message.user); outbox.add(message); scroll.toBottom(); },
  edit: (id, text) => command({ command: "edit-message", message: { id, message: text } }).catch((error) => tell(error.message)),
  editLast: () => {
    const last = timeline.messages.findLast(({ id, deleted }) => mine.isOwn(id) && !deleted);
    if (last) composer.change(last);
  },
});

connection.addEventListener("event", ({ detail: event }) => {
  const { added, changed } = timeline.apply(event);
  pill.complete(event);
  // Another page of this browser signs with the same name, and the server keeps the name for it.
  if (added && added.user === me()) mine.wrote(added.id);
  log.show(added ? [added] : changed);
  for (const { id, deleted } of changed) if (deleted) composer.gone(id);
  if (!added) return;
  $("nothing").hidden = true;
  const own = pending.ids.includes(added.client_id) && added.user === me();
  if (own) arrived(added.client_id);
  else { announce(added); badge.add(); }
  scroll.grown(own ? 0 : 1);
});

/** The server has it: in the log, or (an ack that comes first) soon. */
function arrived(clientId) {
  outbox.settle(clientId);
  pending.remove(clientId);
}
outbox.addEventListener("removed", ({ detail: { item, answer } }) => {
  pill.show();
  if (item.state !== "sent") return;
  if (answer.scheduled) { pending.remove(item.client_id); scheduled.refresh(); tell("Scheduled."); }
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

onWaking(() => { connection.wake(); outbox.flush(); });
addEventListener("storage", ({ key, newValue }) => {
  const id = key?.split(`quotechat:outbox:${room}:`)[1];
  if (id && newValue === null) arrived(id);
});
history({ scroller: $("scroller"), link: $("earlier"), oldest: () => timeline.oldest, older: (id) => api.older(id),
  show: (page) => {
    mine.add(page.mine);
    timeline.add(entriesOf(page));
    scroll.keepPlace(() => log.show(entriesOf(page)));
  } });
keyboard({ log: $("log"), sheet: $("keys"), field: composer.field, run: (action, article) => actions.run(action, article) });
switches(connection, $("way-line"));
jumps($("log"));
for (const article of $("log").querySelectorAll("article")) log.adopt(article, timeline.get(article.dataset.id));
log.arrange();
scroll.toBottom();
scheduled.refresh();
outbox.flush();
