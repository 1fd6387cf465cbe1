// The column of rooms: what is new in each, as the inbox or the list of rooms says it. The server made the first state.

const MOST = 99;
const PALE = ["nothing", "hidden"];

/** What is new in a room, in words. Pure. */
export function newsText({ unread = 0, mentions = 0 }) {
  const parts = [];
  if (unread) parts.push(`${unread} unread`);
  if (mentions) parts.push(`${mentions} mention${mentions > 1 ? "s" : ""}`);
  return parts.join(", ");
}

/** A row of the column out of an entry of the inbox. `isShown`: the page shows that room now. Pure. */
export function rowOf(
  name,
  { kind = "open", with: people = [], title = "", unread, mentions, level },
  isShown = false,
) {
  const direct = kind === "direct";
  return {
    name,
    label: direct ? people.map((each) => each.name).join(", ") || "Notes to yourself" : name,
    title,
    direct,
    unread: isShown ? 0 : (unread ?? 0),
    mentions: isShown ? 0 : (mentions ?? 0),
    pale: PALE.includes(level),
    hidden: level === "hidden" && !mentions && !isShown,
  };
}

const counted = (number) => (number > MOST ? `${MOST}+` : String(number));
const hasNews = ({ unread, mentions, pale }) => Boolean(mentions || (unread && !pale));

export class Column {
  /** `side` is the element; `dot()` stands on the button that opens it where it is a drawer. */
  constructor(side, dot) {
    Object.assign(this, { side, dot });
  }

  get rooms() {
    return this.side.querySelector("#room-list");
  }
  get directs() {
    return this.side.querySelector("#direct-list");
  }
  /** The room that the page shows. */
  get current() {
    return this.side.querySelector("li[data-room] [aria-current]")?.closest("li").dataset.room;
  }

  /** Shows these rows, and no others but the room of this page. Rows that stay are the same elements: focus stays. */
  show(rows) {
    const shown = rows.filter((row) => !row.hidden);
    for (const [list, isDirect] of [
      [this.rooms, false],
      [this.directs, true],
    ]) {
      if (list) this.#fill(list, shown.filter((row) => Boolean(row.direct) === isDirect).sort(byLabel));
    }
    const dot = this.dot();
    if (dot) dot.hidden = !this.side.querySelector("a.news");
  }

  /** The names and newest events of the rooms that are shown. */
  get places() {
    return [...this.side.querySelectorAll("li[data-seq]")].map((item) => ({
      name: item.dataset.room,
      seq: Number(item.dataset.seq),
    }));
  }

  #fill(list, rows) {
    const items = new Map([...list.children].map((item) => [item.dataset.room, item]));
    let last = null;
    for (const row of rows) {
      const item = items.get(row.name) ?? this.#item(row.name);
      items.delete(row.name);
      this.#paint(item, row);
      const next = last ? last.nextElementSibling : list.firstElementChild;
      if (next !== item) list.insertBefore(item, next);
      last = item;
    }
    const { current } = this;
    for (const [name, item] of items) if (name !== current) item.remove();
  }

  #item(name) {
    const item = document.createElement("li");
    item.dataset.room = name;
    const link = document.createElement("a");
    link.href = `${this.side.dataset.rooms}/${encodeURIComponent(name)}`;
    link.append(part("bdi", "label"));
    item.append(link);
    return item;
  }

  #paint(item, { label, title, unread = 0, mentions = 0, pale = false, seq, isNew = false }) {
    const link = item.firstElementChild;
    if ((unread || mentions || isNew) && !link.querySelector(".count")) link.append(...numbers());
    const put = (kind, text) => {
      const element = link.querySelector(`.${kind}`);
      if (!element) return;
      if (element.textContent !== text) element.textContent = text;
      if (kind === "count" || kind === "mentions") element.hidden = !text;
    };
    const told = isNew ? "new messages" : newsText({ unread, mentions });
    put("label", label);
    put("news-text", told);
    put("mentions", mentions ? `@${counted(mentions)}` : "");
    put("count", unread ? counted(unread) : "");
    if (title && title !== label) link.title = title;
    link.classList.toggle("news", isNew || hasNews({ unread, mentions, pale }));
    link.classList.toggle("pale", pale);
    if (seq !== undefined) item.dataset.seq = seq;
  }
}

function byLabel(one, other) {
  const [a, b] = [one.label.toLowerCase(), other.label.toLowerCase()];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What is new, in words and in figures; a row without news has neither. */
function numbers() {
  const [mentions, count] = [part("span", "mentions"), part("span", "count")];
  mentions.ariaHidden = count.ariaHidden = "true";
  return [part("span", "hidden-text news-text"), mentions, count];
}

function part(name, kind) {
  const element = document.createElement(name);
  element.className = kind;
  return element;
}
