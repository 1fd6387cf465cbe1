// Notifications of a room while nobody looks at it: after they were asked for, and by one tab only.
// Loaded once they are wanted.
import { shortened } from "../page/excerpt.js";
import { atEnd } from "../page/life.js";
import { load, save } from "../page/store.js";

/** Title and body of the notification of an entry. Pure. */
export function wordsOf({ user, message = "", runs, quote }, room) {
  if (quote) return { title: `${quote.author} · ${room}`, body: shortened(quote.quote, 200) };
  return { title: `${user} · ${room}`, body: shortened(runs?.map(({ text }) => text).join("") ?? message, 200) };
}

export class Bell {
  #holds = false;
  #shown = null;
  #looked = () => {};

  /** `button` asks for them and turns them off; `place` is what this browser keeps for the room. */
  constructor(button, { place, room, tell, life, locks = navigator.locks, Notification = globalThis.Notification }) {
    Object.assign(this, { button, key: `bell:${place}`, room, tell, life, locks, Notification });
    button.addEventListener("click", () => this.turn());
    this.#show();
    // The first tab of the room has it; when it goes, the next.
    const hold = () => {
      this.#holds = true;
      return new Promise((done) => atEnd(life, done));
    };
    locks.request(`quotechat:bell:${place}`, { signal: life }, hold).catch(() => {}); // the room is left
    document.addEventListener("visibilitychange", () => this.#look(), { signal: life });
    atEnd(life, () => this.#looked());
    this.#look();
  }

  get isOn() {
    return this.Notification.permission === "granted" && load(this.key, false);
  }

  /** Something came that is new to this person. */
  async ring(entry) {
    if (!this.#holds || !document.hidden || !this.isOn) return;
    // A tab that somebody looks at holds this lock together with others.
    const nobody = await this.locks.request(`${this.key}:looks`, { ifAvailable: true }, (lock) => lock !== null);
    if (!nobody) return;
    const { title, body } = wordsOf(entry, this.room);
    try {
      this.#shown = new this.Notification(title, { body, tag: this.key, renotify: true });
      this.#shown.onclick = () => {
        globalThis.focus();
        this.#shown?.close();
      };
    } catch {
      // Phones show them through a service worker alone.
      this.#off("This browser shows no notifications of pages.");
    }
  }

  /** Asks for them, or turns them off. */
  async turn() {
    if (this.isOn) return this.#off("No notifications of this room any more.");
    const answer = await this.Notification.requestPermission();
    if (answer !== "granted") return this.tell("This browser does not allow notifications of this site.");
    save(this.key, true);
    this.#show();
    return this.tell("You are notified of new messages while this page is open and hidden.");
  }

  #off(words) {
    save(this.key, null);
    this.#show();
    this.tell(words);
  }

  #show() {
    this.button.setAttribute("aria-pressed", String(this.isOn));
  }

  /** While this tab is seen, no tab notifies. */
  #look() {
    this.#looked();
    if (document.hidden || this.life?.aborted) return;
    this.#shown?.close();
    this.locks.request(`${this.key}:looks`, { mode: "shared" }, () =>
      this.life?.aborted ? null : new Promise((done) => (this.#looked = done)),
    );
  }
}
