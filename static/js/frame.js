// What every page has: the column of rooms, which is kept up to date.
import { Api } from "./api.js";
import { Column, rowOf } from "./reader/column.js";
import { copiesLines } from "./page/lines.js";
import { followInbox, Inbox } from "./reader/inbox.js";

const side = document.getElementById("rooms");
// What needs a script is shown when the page's own script, which runs after this one, has taken it over.
addEventListener("DOMContentLoaded", () => document.documentElement.classList.add("js"));
copiesLines(document.getElementById("copied"));

// In a wide window the column is no drawer.
matchMedia("(width >= 60rem)").addEventListener("change", () => {
  if (side.matches(":popover-open")) side.hidePopover();
});

// The head is another one in each room.
const column = new Column(side, () => document.querySelector(".drawer-news"));
const show = ({ rooms }) => {
  const { current } = column;
  column.show(Object.entries(rooms).map(([name, entry]) => rowOf(name, entry, name === current)));
};

if (side.dataset.inbox === undefined) {
  if (column.rooms) visit();
} else if (document.getElementById("chat")) {
  // The connection of the room follows the inbox too.
  document.addEventListener("inbox", ({ detail }) => show(detail));
} else {
  follow();
}

/** Without an account; the page is painted and live before that is asked for. */
async function visit() {
  const { Visited } = await import("./reader/visited.js");
  const visited = new Visited(column, { base: side.dataset.base });
  visited.begin();
  document.addEventListener("room", () => visited.goOn());
  side.addEventListener("toggle", ({ newState }) => newState === "open" && visited.refresh());
}

/** Follows the inbox while the page is seen: a hidden tab holds no connection. */
function follow() {
  const inbox = new Inbox();
  const link = {
    api: new Api({ base: side.dataset.base }),
    interval: 5_000,
    inboxCursor: () => inbox.cursor,
    inboxTold: (answer) => inbox.apply(answer) && show(inbox),
  };
  let control = null;
  const look = () => {
    control?.abort();
    if (document.hidden) return;
    control = new AbortController();
    followInbox(link, control.signal);
  };
  document.addEventListener("visibilitychange", look);
  look();
}
