// What is shown of the room: its entries, what of them is this person's, and where the reader is among them.
import { History } from "../entries/history.js";
import { jumps } from "../entries/jump.js";
import { Log } from "../entries/log.js";
import { readEntry, showReactions } from "../entries/message.js";
import { Mine } from "../person/mine.js";
import { Missed } from "../reader/missed.js";
import { Scroll } from "../entries/scroll.js";
import { load } from "../page/store.js";
import { hasKeyboard } from "../page/viewport.js";
import { entriesOf, Timeline } from "../entries/timeline.js";
import { Unread } from "../reader/unread.js";
import { $ } from "./open.js";

/** The name that this page writes under: the account's, else what this browser keeps. */
function ownName() {
  const { user } = $("composer").elements;
  return user.readOnly ? user.value : load("user", "");
}

/** The entries, as the server rendered them and as events change them. */
export function wireEntries(page) {
  const { outbox } = page;
  const timeline = new Timeline([...$("log").querySelectorAll("article")].map(readEntry));
  const mine = new Mine(JSON.parse($("chat").dataset.mine));
  // As asked for last, whether the server has answered yet or not.
  const reaction = (id) => outbox.wanted("react", id)?.message.reaction ?? mine.reaction(id);
  const hasEmoji = (id, emoji) => outbox.wanted("react", id, emoji)?.message.on ?? mine.hasEmoji(id, emoji);
  const log = new Log($("log"), {
    leaves: (article) => article.contains(page.composer.form) && page.composer.leave(),
    decorate: (article, { quote, id, deleted, ...counts }) => {
      article.classList.toggle("own", mine.isOwn(id));
      if (quote) return;
      const leaves = !deleted && (mine.isDeleted(id) || outbox.wanted("delete-message", id));
      article.toggleAttribute("data-leaving", Boolean(leaves));
      showReactions(article, { id, deleted, ...counts }, reaction(id), (emoji) => hasEmoji(id, emoji));
    },
  });
  const repaint = (id) => {
    const article = log.article(id);
    if (article) log.decorate(article, timeline.get(id));
  };
  return { timeline, mine, me: ownName, reaction, hasEmoji, log, repaint };
}

/** Where the reader is: at the newest, at the first that is new, or at what is older. */
export function wirePlace(page) {
  const { life, api, place, latest, connection, timeline, mine, log } = page;
  const freed = () => hasKeyboard() && page.composer.focus(); // as with Esc
  const scroll = new Scroll($("scroller"), $("newer"), {
    latest,
    freed,
    reached: () => {
      unread.reached(connection.seq);
      missed.done();
    },
    life,
  });
  const position = JSON.parse($("chat").dataset.position);
  // As the inbox of the account has it, which may join by speaking, and join or leave on another page.
  const hasJoined = () => Boolean(connection.inbox.rooms?.[connection.room]?.read);
  const unread = new Unread(place, () => scroll.stuck && !latest, {
    ...position,
    life,
    head: connection.seq,
    mark: connection.inbox && ((id, keepalive) => api.markRead(id, { keepalive })),
    joined: Boolean(position.read) || hasJoined(),
  });
  connection.addEventListener("inbox", () => unread.joins(hasJoined()));
  log.read = unread.before;
  const history = new History({
    scroller: $("scroller"),
    link: $("earlier"),
    oldest: () => timeline.oldest,
    newest: () => timeline.newest,
    past: Boolean(latest),
    older: (before, limit) => api.older(before, limit),
    show: (older, changes) => {
      mine.add(older.mine);
      const entries = entriesOf(older);
      timeline.add(entries);
      for (const event of changes) timeline.apply(event);
      scroll.keepPlace(() => log.show(entries.map(({ id }) => timeline.get(id))));
      missed.show();
    },
    life,
  });
  const markRead = () => {
    if (latest) location.assign(latest);
    scroll.toBottom();
    scroll.keepBottom(() => log.allRead());
    unread.reached();
  };
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
    freed,
  });
  return { scroll, unread, history, missed, markRead };
}

/** Goes to the first that is new, if there is one, else to the newest. */
export function begin({ log, scroll, missed, history, latest }) {
  const news = log.countNew;
  if (news) scroll.beginAt(log.firstNew, Math.max(news, missed.missed.count));
  else if (!latest) scroll.toBottom();
  history.hold();
}

/** The article at the top of what is in view, and how far it is from there; null at the newest. */
export function placeOf({ scroll }) {
  if (scroll.stuck) return null;
  const { top } = $("scroller").getBoundingClientRect();
  const article = [...$("log").querySelectorAll("article")].find((each) => each.getBoundingClientRect().bottom > top);
  return article ? { id: Number(article.dataset.id), down: article.getBoundingClientRect().top - top } : null;
}

/** Goes back to a place that the reader has left. */
async function goBack(page, { id, down }) {
  const { life, log, scroll, history } = page;
  scroll.leaveBottom();
  await history.back(() => log.article(id));
  if (life.aborted) return null;
  const article = log.article(id);
  if (!article) return begin(page);
  const scroller = $("scroller");
  scroller.scrollTop += article.getBoundingClientRect().top - scroller.getBoundingClientRect().top - down;
  return history.hold();
}

/** Goes to the message in the address of the page, if there is one, else to the place at which reading goes on.
 *  `fromAnotherRoom`: the page showed another room before. `place`: the reader's earlier place here, or null. */
export function arrive(page, { fromAnotherRoom = false, place = null } = {}) {
  const { life, log, scroll, history, missed, tell } = page;
  const jumping = jumps($("log"), {
    reach: (id) => {
      scroll.leaveBottom();
      return history.reach(id, () => log.article(id));
    },
    missing: (id) => tell(`There is no message ${id} here.`),
    life,
    begins: !place,
  });
  missed.show();
  if (place) goBack(page, place);
  else if (!jumping) readOn(page);
  // With a keyboard one writes at once.
  if (hasKeyboard() && !jumping) page.composer.focus();
  else if (fromAnotherRoom) heading().focus();
}

/** Begins where reading goes on, also when what is new has been loaded. */
function readOn(page) {
  begin(page);
  let touched = false; // the reader has gone elsewhere meanwhile
  for (const type of ["wheel", "touchmove", "pointerdown", "keydown"])
    $("scroller").addEventListener(type, () => (touched = true), { once: true, passive: true });
  page.missed.load().then((loaded) => loaded && !touched && begin(page));
}

/** The heading of the room, which screen readers read when it has the focus. */
const heading = () => Object.assign($("room-name").closest("h1"), { tabIndex: -1 });
