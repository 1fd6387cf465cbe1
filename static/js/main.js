// The chat page: wires the parts to each other and holds nothing itself.
import { Actions } from "./actions.js";
import { announcer } from "./announcer.js";
import { Api } from "./api.js";
import { connect } from "./client.js";
import { Composer } from "./composer.js";
import { Deletions } from "./deletions.js";
import { deliverer } from "./deliver.js";
import { Drafts } from "./drafts.js";
import { Expected } from "./expected.js";
import { History } from "./history.js";
import { jumps } from "./jump.js";
import { keyboard } from "./keys.js";
import {
  attachments,
  bells,
  completes,
  menu,
  panel,
  picker,
  switcher,
  switches,
  tray,
  typing,
  views,
} from "./later.js";
import { Log } from "./log.js";
import { readEntry, showReactions } from "./message.js";
import { Mine } from "./mine.js";
import { Missed } from "./missed.js";
import { Outbox } from "./outbox.js";
import { Pending } from "./pending.js";
import { Pill } from "./pill.js";
import { Badge } from "./reader/badge.js";
import { tapShows } from "./reveal.js";
import { Scroll } from "./scroll.js";
import { refreshed } from "./snapshot.js";
import { load, save } from "./store.js";
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
  inbox: $("rooms").dataset.inbox !== undefined,
});
connection.addEventListener("inbox", ({ detail }) =>
  document.dispatchEvent(new CustomEvent("inbox", { detail: { rooms: detail.rooms } })),
);
connection.addEventListener("signed-out", () => {
  // What was not sent stays in this browser, and is sent after the next sign-in.
  const { signIn } = $("chat").dataset;
  if (signIn) location.assign(signIn);
});
connection.addEventListener("gone", () => tell("This room is not there any more, or not yours."));
const outbox = new Outbox({ room, place, deliver: deliverer(connection, api) });

// --- What is shown --------------------------------------------------------------------------------

const timeline = new Timeline([...$("log").querySelectorAll("article")].map(readEntry));
const mine = new Mine(JSON.parse($("chat").dataset.mine));
const me = () => load("user", "");
const scroll = new Scroll($("scroller"), $("newer"), {
  latest,
  reached: () => {
    unread.reached(connection.seq);
    missed.done();
  },
});
const position = JSON.parse($("chat").dataset.position);
const unread = new Unread(place, () => scroll.stuck && !latest, {
  ...position,
  mark: position.read && ((id, keepalive) => api.markRead(id, { keepalive }).catch(() => {})),
});
const log = new Log($("log"), {
  read: unread.before,
  leaves: (article) => article.contains(composer.form) && composer.leave(),
  decorate: (article, { quote, id, deleted, ...counts }) => {
    if (quote) return;
    const leaves = !deleted && (mine.isDeleted(id) || outbox.wanted("delete-message", id));
    article.toggleAttribute("data-leaving", Boolean(leaves));
    article.classList.toggle("own", mine.isOwn(id));
    showReactions(article, { id, deleted, ...counts }, reaction(id), (emoji) => hasEmoji(id, emoji));
  },
});
// As asked for last, whether the server has answered yet or not.
const reaction = (id) => outbox.wanted("react", id)?.message.reaction ?? mine.reaction(id);
const hasEmoji = (id, emoji) => outbox.wanted("react", id, emoji)?.message.on ?? mine.hasEmoji(id, emoji);
function repaint(id) {
  const article = log.article(id);
  if (article) log.decorate(article, timeline.get(id));
}
const history = new History({
  scroller: $("scroller"),
  link: $("earlier"),
  oldest: () => timeline.oldest,
  older: (before, limit) => api.older(before, limit),
  show: (page) => {
    mine.add(page.mine);
    timeline.add(entriesOf(page));
    scroll.keepPlace(() => log.show(entriesOf(page)));
    missed.show();
  },
});
const missed = new Missed($("missed"), {
  unread,
  timeline,
  history,
  first: () => log.firstNew,
  go: (article) => {
    scroll.beginAt(article, 0);
    article.focus({ preventScroll: true });
  },
  done: markRead,
});
const tell = toast($("toast"));
const announce = announcer($("announcer"));
const badge = new Badge();
const bell = bells($("bell"), { place, room, tell });
const pill = new Pill($("pill"), $("diagnosis"), {
  wake: () => connection.wake(),
  waiting: () => outbox.waiting,
  told: $("pill-told"),
  facts: panel($("diagnosis"), { url: location.origin + api.roomUrl, tell }),
});
const pending = new Pending($("outbox"), outbox, {
  message: (id) => timeline.get(id),
  edit: (item) => {
    if (item.envelope.command === "edit-message") editAgain(item);
    else composer.correct(item);
  },
  rename: ({ client_id: id, envelope }, user) => {
    composer.name.take(user);
    composer.refuse();
    resend(id, { ...envelope.message, user });
  },
  retry: ({ client_id: id, envelope }) => {
    const user = composer.user || envelope.message?.user;
    if (envelope.command === "send-message") resend(id, { ...envelope.message, user });
    else outbox.retry(id);
  },
});
const scheduled = tray($("scheduled"), { api, outbox });

// --- What is done ---------------------------------------------------------------------------------

const composer = new Composer($("composer"), {
  drafts: new Drafts(place),
  tell,
  message: (id) => timeline.get(id),
  article: (id) => log.article(id),
  refused: (id) => outbox.find(id),
  send,
  mend: resend,
  edit: (id, text) => outbox.add({ command: "edit-message", message: { id, message: text } }),
  editLast: () => {
    const last = timeline.messages.findLast(({ id, deleted }) => mine.isOwn(id) && !deleted);
    if (last) actions.edit(last);
  },
});

const files = attachments(composer.form, {
  api,
  place,
  send,
  user: () => composer.user,
  refuse: (text) => composer.refuse(text),
});

function send(message) {
  save("user", message.user);
  outbox.add({ command: "send-message", message: files.take(message) });
  if (latest) location.assign(latest); // the outbox goes on there
  scroll.toBottom();
}

/** A refused message again, as it is now. */
function resend(id, message) {
  const item = outbox.find(id);
  if (!item) return send(message);
  save("user", message.user);
  // What it answers may be what was refused: it is kept no longer.
  const parent = item.field?.endsWith("reply_to") ? null : item.envelope.message.reply_to;
  if (item.envelope.message.files) message = { ...message, files: item.envelope.message.files };
  outbox.retry(id, { command: "send-message", message: parent ? { ...message, reply_to: parent } : message });
  return undefined;
}

function editAgain({ envelope: { message } }) {
  const { id, message: text } = message;
  composer.change({ id, message: timeline.get(id)?.message ?? "" }, text);
}

const deletions = new Deletions({
  outbox,
  tell,
  farewell: (envelope) => api.command(envelope, { keepalive: true }).catch(() => {}),
  back: (id) => log.article(id)?.focus(),
});
const emoji = picker($("emoji"));
$("add").addEventListener("change", () => $("add").hidePopover());
$("add")
  .querySelector("[data-add=emoji]")
  .addEventListener("click", () => {
    $("add").hidePopover();
    emoji.open($("composer").querySelector("[popovertarget=add]"), (chosen) => composer.insert(chosen));
  });
const actions = new Actions({
  log: $("log"),
  url: location.origin + api.roomUrl,
  timeline,
  composer,
  outbox,
  deletions,
  reaction,
  hasEmoji,
  emojiOf: ({ id, reactions = {} }) => Object.keys(reactions).filter((emoji) => hasEmoji(id, emoji)),
  isOwn: (id) => mine.isOwn(id),
  account: "signIn" in $("chat").dataset,
  picker: emoji,
  menu: menu($("message-menu")),
  tell,
});
const others = () => [...new Set(timeline.messages.map(({ user }) => user))].filter((name) => name && name !== me());
completes(composer.field, $("mentions"), others);
const goTo = switcher($("switcher"), {
  people: others,
  call: (name) => composer.insert(`@${name} `),
  search: $("switcher").dataset.search,
});
keyboard({
  log: $("log"),
  sheet: $("keys"),
  field: composer.field,
  undo: () => {
    tell.act();
    deletions.undo();
  },
  run: (action, article) => actions.run(action, article),
  open: goTo,
  done: markRead,
});
typing(connection, { field: composer.field, name: () => composer.user, element: $("typing") });
switches(connection, $("way-line"));
fitAboveKeyboard(document.body);
views($("log"), (id) => timeline.get(id));
tapShows($("log"), (article) => actions.run("more", article));

// --- What comes -----------------------------------------------------------------------------------

connection.addEventListener("event", ({ detail: event }) => {
  pill.complete(event);
  if (latest && adds(event)) scroll.grown(1);
  else show(event, timeline.apply(event));
});

const expected = new Expected();
outbox.items.forEach((item) => expected.add(item));
outbox.addEventListener("elsewhere", ({ detail: { item } }) => expected.add(item));

function show({ seq }, { added, changed }) {
  const own = Boolean(added) && expected.has(added);
  // Another page of this browser signs with the same name, and the server keeps the name for it.
  if (added && !added.quote && (own || added.user === me())) mine.wrote(added.id);
  log.show(added ? [added] : changed);
  for (const { id, deleted } of changed) if (deleted) forget(id);
  pending.reached(seq);
  if (!added) return;
  $("nothing").hidden = true;
  if (!added.quote) unread.messages += 1;
  if (own) arrived(added.quote?.client_id ?? added.client_id);
  else {
    announce(added);
    badge.add();
    bell(added);
  }
  if (own || mine.isOwn(added.id)) log.allRead();
  scroll.grown(own ? 0 : 1);
  unread.reached(seq);
  if (scroll.stuck && log.size > MOST_SHOWN) {
    scroll.keepBottom(() => timeline.forget(log.prune(MOST_SHOWN / 2)));
    history.cut();
  }
}

/** A message is deleted: its words stand nowhere. */
function forget(id) {
  outbox.gone(id);
  composer.gone(id);
}

/** The server has it: in the log, or (an ack that comes first) soon. */
function arrived(clientId) {
  expected.delete(clientId);
  outbox.settle(clientId);
  pending.remove(clientId);
}

outbox.addEventListener("removed", ({ detail: { item, answer, elsewhere = false } }) => {
  const { client_id: id, envelope, state } = item;
  if (state === "sent") stored(item, answer, elsewhere ? () => {} : tell);
  if (state === "discarded") {
    expected.delete(id);
    composer.gone(id);
    composer.refuse();
  }
  repaint(envelope.message?.id ?? answer.seq);
  // Its event was here before (a repeat), or will take the row away when it comes.
  pending.reached(connection.seq);
  pill.show();
});

function stored({ client_id, envelope }, answer, say) {
  mine.did(envelope, answer);
  if (envelope.command === "cancel-scheduled" || answer.scheduled) scheduled.refresh();
  if (envelope.command === "send-message" && answer.scheduled) say("Scheduled.");
  if (envelope.command === "add-quote")
    say("Saved as a quote.", { label: "Undo", seconds: 8, act: () => unquote(client_id) });
}

/** Takes back a quote that was saved just now. */
function unquote(clientId) {
  const id = timeline.entries.findLast(({ quote }) => quote?.client_id === clientId)?.quote.id;
  if (id) outbox.add({ command: "remove-quote", quote: { id } });
}

outbox.addEventListener("changed", ({ detail: { item } }) => {
  expected.add(item);
  repaint(item.envelope.message?.id);
  pill.show();
  scroll.grown(0);
  if (item.state === "failed") refused(item);
});
outbox.addEventListener("slow", () => connection.check());

function refused(item) {
  const { client_id: id, envelope, reason } = item;
  const nowhereElse = document.activeElement === document.body || composer.form.contains(document.activeElement);
  switch (envelope.command) {
    case "react":
    case "cancel-scheduled":
      outbox.discard(id);
      scheduled.refresh();
      return tell(reason);
    case "edit-message":
      if (composer.isFree && nowhereElse) editAgain(item);
      return composer.refuse(reason);
    case "send-message":
      return composer.refuse(reason);
    default:
      return tell(reason);
  }
}

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
  unread.messages = snapshot.about?.messages ?? unread.messages;
  connection.resume(snapshot.cursor);
  pending.reached(connection.seq);
  scroll.toBottom();
});

onWaking(() => {
  connection.wake();
  log.nameDays();
  outbox.flush();
});
setInterval(() => log.nameDays(), 60_000);
addEventListener("offline", () => connection.check());
addEventListener("storage", (event) => outbox.heard(event));

/** At the first that is new, if there is one, else at the newest. */
function begin() {
  const news = log.element.querySelectorAll(".first-new, .first-new ~ article:not(.own)").length;
  if (news) scroll.beginAt(log.firstNew, Math.max(news, missed.missed.count));
  else if (!latest) scroll.toBottom();
  history.hold();
}

function markRead() {
  if (latest) location.assign(latest);
  scroll.toBottom();
  scroll.keepBottom(() => log.allRead());
  unread.reached();
}

/** Somebody looks again: at the first that came meanwhile. */
document.addEventListener("visibilitychange", () => {
  if (latest) return;
  if (document.hidden) {
    if (unread.left()) log.readTo(unread.before);
  } else {
    if (scroll.stuck && log.firstNew) begin();
    if (!scroll.stuck) missed.show();
    unread.reached();
  }
});

// --- The beginning --------------------------------------------------------------------------------

log.adopt((id) => timeline.get(id));
composer.settle();
const jumping = jumps($("log"), {
  reach: (id) => {
    scroll.leaveBottom();
    return history.reach(id, () => log.article(id));
  },
  missing: (id) => tell(`There is no message ${id} here.`),
});
missed.show();
if (!jumping) {
  begin();
  let touched = false; // the reader has gone elsewhere meanwhile
  for (const type of ["wheel", "touchmove", "pointerdown", "keydown"])
    $("scroller").addEventListener(type, () => (touched = true), { once: true, passive: true });
  missed.load().then((loaded) => loaded && !touched && begin());
}
unread.reached(connection.seq);
// With a keyboard one writes at once; on a phone it would cover half of the room.
if (!jumping && matchMedia("(hover: hover) and (pointer: fine)").matches) composer.focus();
scheduled.refresh();
outbox.flush();
