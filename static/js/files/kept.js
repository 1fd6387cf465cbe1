// Files of messages that are being written, through reloads and restarts of the browser: kept in IndexedDB until they
// are sent or removed, a day at most, as at the server. One tab has each: it holds a lock under the file's name.
export const KEPT = 86_400_000; // ms

export class Kept {
  #releases = new Map();
  #taking = new Map(); // id → the promise whether this tab has it
  #ended = false;

  /** `place` is what this browser keeps for the room. Without locks (plain http://) nothing is kept. */
  constructor(place, { locks = globalThis.navigator?.locks, shelf = new Shelf(), now = Date.now } = {}) {
    Object.assign(this, { place, locks, shelf, now });
  }

  /** Keeps an item, {file, url, alt, by}, under its id. */
  async save(id, item) {
    if (!(await this.#takes(id))) return;
    await this.shelf.put(id, { at: this.now(), ...item, place: this.place }).catch(() => {});
  }

  async remove(id) {
    await this.shelf.remove(id).catch(() => {});
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }

  /** Lets go of all: they are the next one's that shows the room. */
  end() {
    this.#ended = true;
    for (const release of this.#releases.values()) release();
    this.#releases.clear();
  }

  /** Those that no tab has, the oldest first, which this one has from now on; `by` is who writes here. */
  async left(by) {
    const found = [];
    const all = await this.shelf.all().catch(() => []);
    for (const [id, item] of all.sort(([, one], [, other]) => one.at - other.at)) {
      const old = this.now() - item.at > KEPT;
      if (!old && (item.place !== this.place || (item.by && item.by !== by))) continue;
      if (!(await this.#takes(id))) continue;
      if (old) await this.remove(id);
      else found.push({ id, ...item });
    }
    return found;
  }

  /** Whether this tab has it, now or before. Asked twice at once, it takes it once: its own lock would refuse it. */
  async #takes(id) {
    if (this.#releases.has(id)) return true;
    if (!this.locks || this.#ended) return false;
    if (!this.#taking.has(id)) this.#taking.set(id, this.#take(id));
    const has = await this.#taking.get(id);
    this.#taking.delete(id);
    return has;
  }

  #take(id) {
    return new Promise((taken) => {
      const hold = (lock) => {
        const has = lock !== null && !this.#ended;
        taken(has);
        return has && new Promise((release) => this.#releases.set(id, release));
      };
      this.locks.request(`quotechat:file:${id}`, { ifAvailable: true }, hold).catch(() => taken(false));
    });
  }
}

/** The part of IndexedDB that is needed here; all of it may be refused. */
class Shelf {
  #opened = null;

  put(id, item) {
    return this.#work("readwrite", (store) => store.put(item, id));
  }
  remove(id) {
    return this.#work("readwrite", (store) => store.delete(id));
  }
  async all() {
    const keys = await this.#work("readonly", (store) => store.getAllKeys());
    return Promise.all(keys.map(async (id) => [id, await this.#work("readonly", (store) => store.get(id))]));
  }

  async #work(mode, act) {
    const database = await (this.#opened ??= opened());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("files", mode);
      const asked = act(transaction.objectStore("files"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("quotechat", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("files");
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
