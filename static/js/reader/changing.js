// From room to room without loading a page: the other room's page, as the server makes it, takes the place of this one,
// and its socket is kept. What is not such a page (a sign-in, a room that is gone, files of another version) is loaded.
import { newId } from "../page/ids.js";

const ROOMS = "#room-list a, #direct-list a";
const RESTS = 200; // ms of the pointer on a link, as browsers take for a wish
const FRESH = 30_000; // ms for which a page that was fetched before the click is good
const PATIENCE = 10_000; // ms for a page

/** What two pages have in common if one can take the place of the other. */
export function frameOf(page) {
  const { base, transports, signIn } = page.getElementById("chat")?.dataset ?? {};
  const [script, side] = [page.querySelector("head script"), page.getElementById("rooms")];
  const person = side?.querySelector(".side-foot").textContent.replace(/\s+/g, " ");
  return [script?.getAttribute("src"), base, transports, signIn, side?.dataset.inbox, person].join("\n");
}

/** The page at an address, as a document that runs nothing; null if it is not what was asked for. The one way to parse a
 *  page that a policy of no Trusted Types leaves. */
function fetched(href) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", href);
    request.responseType = "document";
    request.timeout = PATIENCE;
    const isAsked = () => request.status === 200 && request.responseURL === href.replace(/#.*/, "");
    request.onloadend = () => resolve(isAsked() ? request.response : null);
    request.send();
  });
}

const addressOf = ({ pathname, search }) => pathname + search;

export class Changing {
  #turn = 0;
  #going = null; // the address that is asked for
  #ahead = null; // {href, at, page}: fetched before the click
  #resting = null;
  #places = new Map(); // entry of the history → where the reader was in it
  #entry = null;
  #shown = addressOf(location);

  /** `present` is the room of the page, `mount(options)` makes the one that is in its place. */
  constructor(present, mount) {
    this.side = document.getElementById("rooms");
    Object.assign(this, { present, mount, frame: frameOf(document), told: document.getElementById("copied") });
    // The column leads to pages that may take any transport; one of the past goes on to nothing.
    if (!document.getElementById("chat").dataset.transports.includes(" ") || document.getElementById("latest")) return;
    this.#enter();
    // Fetched by this module from here on, and not by the browser too.
    this.side.dataset.keepsPage = "";
    this.side.addEventListener("pointerover", ({ target }) => this.#rests(target.closest(ROOMS)));
    this.side.addEventListener("pointerdown", ({ target }) => this.#fetch(target.closest(ROOMS)));
    this.side.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("popstate", () => this.#returned());
  }

  #rests(link) {
    clearTimeout(this.#resting);
    if (link) this.#resting = setTimeout(() => this.#fetch(link), RESTS);
  }

  #fetch(link) {
    if (!link || !this.present.canLeave || link.hasAttribute("aria-current") || this.#isAhead(link.href)) return;
    this.#ahead = { href: link.href, at: Date.now(), page: fetched(link.href) };
  }

  #isAhead(href) {
    return this.#ahead?.href === href && Date.now() - this.#ahead.at < FRESH;
  }

  /** A page serves once: what is read and written in the room since is not in it. */
  #take(href) {
    const page = this.#isAhead(href) ? this.#ahead.page : fetched(href);
    this.#ahead = null;
    return page;
  }

  #clicked(event) {
    const { button, ctrlKey, metaKey, shiftKey, altKey, target } = event;
    const link = target.closest(ROOMS);
    if (!link || event.defaultPrevented || !this.present.canLeave) return;
    if (button || ctrlKey || metaKey || shiftKey || altKey) return; // a tab of its own
    event.preventDefault();
    clearTimeout(this.#resting);
    // The second click of two is on the room that the first one has shown.
    if (!link.hasAttribute("aria-current")) this.#go(link);
    else {
      this.#stay();
      this.#closeDrawer();
    }
  }

  async #go(link) {
    const { href } = link;
    if (this.#going === href) return; // a key that is held
    link.ariaBusy = "true";
    const page = await this.#found(href);
    link.ariaBusy = null;
    if (page) this.#show(page, () => history.pushState(null, "", href));
    else if (page === null) location.assign(href);
  }

  /** Goes to no other room, though one may have been asked for. */
  #stay() {
    this.#turn += 1;
    this.#going = null;
  }

  #closeDrawer() {
    if (this.side.matches(":popover-open")) this.side.hidePopover();
  }

  /** Takes over the present entry of the history; one that a link within the page has made has no name yet. */
  #enter() {
    const { entry = newId(), ...state } = history.state ?? {};
    history.replaceState({ ...state, entry }, "");
    this.#entry = entry;
  }

  /** Back or forward. */
  async #returned() {
    if (addressOf(location) === this.#shown) {
      this.#enter();
      this.#stay();
      return;
    }
    const page = await this.#found(location.href);
    if (page) this.#show(page);
    else if (page === null) location.reload();
  }

  /** The page of another room; null if it is to be loaded, undefined if another one was asked for meanwhile. */
  async #found(href) {
    const turn = (this.#turn += 1);
    this.#going = href;
    const page = await this.#take(href);
    if (turn !== this.#turn) return undefined;
    this.#going = null;
    const fits = page && frameOf(page) === this.frame && !page.getElementById("latest") && this.present.canLeave;
    return fits ? page : null;
  }

  /** Shows a page in place of this one, all within one task: what the socket brings comes after it. */
  #show(page, enter = null) {
    this.#places.set(this.#entry, this.present.place());
    this.present.leave();
    enter?.();
    this.#enter();
    this.#shown = addressOf(location);
    document.title = page.title;
    this.#closeDrawer();
    // Parsed as without scripts, it has fields in them.
    for (const each of page.querySelectorAll("noscript")) each.remove();
    for (const part of ["#rooms .side-middle", "#page"])
      document.querySelector(part).replaceChildren(...page.querySelector(part).childNodes);
    document.dispatchEvent(new Event("room"));
    this.told.textContent = document.title;
    const place = enter ? null : this.#places.get(this.#entry);
    this.present = this.mount({ inbox: this.present.inbox, fromAnotherRoom: true, place });
  }
}
