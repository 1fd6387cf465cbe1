// A small world with a clock of its own, in which a server and readers make a story. Pure: the same every time.

/** How long a message is under way, in ms. */
export const TRIP = 20;

export class World {
  now = 0;
  #plans = []; // [at, order, act]
  #order = 0;
  rows = []; // {at, from, to, text, kind}: `to` is null for a note
  sent = new Map(); // text → when
  #sendings = new Map(); // text → its row
  shown = new Map(); // text → [when, …]

  /** Does something at a time, in ms. */
  at(time, act) {
    this.#plans.push([time, (this.#order += 1), act]);
  }
  /** Does something after so many ms. */
  after(pause, act) {
    this.at(this.now + pause, act);
  }

  /** Runs all that is planned, in the order of time, up to `end` ms. */
  run(end = Infinity) {
    for (;;) {
      this.#plans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      const next = this.#plans.shift();
      if (!next || next[0] > end) return this;
      [this.now] = next;
      next[2]();
    }
  }

  /** Something goes from one actor to another; `arrive` is called when it is there. */
  go(from, to, text, arrive = () => {}, kind = "") {
    this.rows.push({ at: this.now, from, to, text, kind });
    this.after(TRIP, arrive);
  }
  /** It goes, and never arrives. */
  goLost(from, to, text) {
    this.rows.push({ at: this.now, from, to, text, kind: "gone" });
  }
  /** Something happens at one actor. */
  note(actor, text, kind = "") {
    this.rows.push({ at: this.now, from: actor, to: null, text, kind });
  }

  /** The sender has sent a message; what happens at the server is `store`. */
  send(text, store, to = "server") {
    this.sent.set(text, this.now);
    this.go("sender", to, `“${text}”`, store);
    this.#sendings.set(text, this.rows.at(-1));
  }
  /** The reader shows messages: "again" if it has them already. */
  show(texts) {
    for (const text of texts) {
      const before = this.shown.get(text) ?? [];
      this.shown.set(text, [...before, this.now]);
      if (before.length) this.note("reader", `shows “${text}” again`, "repeated");
    }
  }

  /** The story: its rows, each message with its fate, and in words what came of it. `wrong` is a fault beside them. */
  story(actors, told = "", wrong = false) {
    const messages = [...this.sent].map(([text, at]) => ({ text, at, arrived: this.shown.get(text) ?? [] }));
    const lost = messages.filter(({ arrived }) => arrived.length === 0);
    const repeated = messages.filter(({ arrived }) => arrived.length > 1);
    for (const { text } of lost) this.#sendings.get(text).kind = "lost";
    return {
      actors,
      rows: this.rows,
      messages,
      told: [fates(messages, lost, repeated), told].filter(Boolean).join(" "),
      wrong: wrong || lost.length + repeated.length > 0,
    };
  }
}

function fates(messages, lost, repeated) {
  if (!messages.length) return "";
  const arrived = messages.length - lost.length;
  const parts = [`Sent ${messages.length}, arrived ${arrived}`];
  if (lost.length) parts.push(`lost ${listed(lost)}`);
  if (repeated.length) parts.push(`repeated ${listed(repeated)}`);
  return `${parts.join("; ")}.`;
}

/** "nothing", or the texts of messages as a list. */
export const listed = (messages) => messages.map(({ text }) => `“${text}”`).join(", ") || "nothing";
