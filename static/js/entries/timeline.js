// What stands in the log of a room, as its events leave it: messages, and quotes as cards.
// Pure: no page, no network, no clock. Applying an event twice changes nothing.
import { excerptOf } from "../page/excerpt.js";

/** Messages and quotes of a snapshot in one row: an entry with `quote` is one, its `id` the seq. */
export const entriesOf = ({ messages, quotes = [] }) => [
  ...messages,
  ...quotes.map((quote) => card(quote.seq, quote.at, quote)),
];

/** Whether an event brings an entry; the others change one. */
export const adds = ({ command }) => command === "message-sent" || command === "quote-added";

const card = (seq, at, quote) => ({ id: seq, at, quote });

export class Timeline {
  #entries = new Map();

  constructor(entries = []) {
    this.add(entries);
  }

  get entries() {
    return [...this.#entries.values()].sort((a, b) => a.id - b.id);
  }
  get messages() {
    return this.entries.filter((entry) => !entry.quote);
  }
  get oldest() {
    return Math.min(...this.#entries.keys());
  }
  get newest() {
    return Math.max(...this.#entries.keys());
  }
  get(id) {
    return this.#entries.get(Number(id));
  }

  add(entries) {
    for (const entry of entries) this.#entries.set(entry.id, entry);
  }

  /** These are shown no more; history may bring them back. */
  forget(ids) {
    for (const id of ids) this.#entries.delete(id);
  }

  /** Starts anew: after a reset. */
  replace(entries) {
    this.#entries.clear();
    this.add(entries);
  }

  /** Applies one event of the protocol. Answers {added, changed}: the entry that is new, or null,
   *  and the entries to show anew. An unknown event does nothing. */
  apply({ command, seq, at, message, quote }) {
    switch (command) {
      case "message-sent":
        return this.#add({ at, ...message });
      case "quote-added":
        return this.#add(card(seq, at, quote));
      case "quote-removed":
        return this.#remove(quote);
      case "message-edited":
        return this.#edit(message);
      case "message-deleted":
        return this.#delete(message.id);
      case "reactions-changed":
        return this.#change(message.id, (old) => ({
          ...old,
          likes: message.likes ?? 0,
          dislikes: message.dislikes ?? 0,
          reactions: message.reactions ?? {},
        }));
      default:
        return NOTHING;
    }
  }

  #add(entry) {
    if (this.#entries.has(entry.id)) return NOTHING;
    this.#entries.set(entry.id, entry);
    return { added: entry, changed: [] };
  }

  /** A message that is older than what the page has loaded is none of its business yet. */
  #change(id, change) {
    const old = this.get(id);
    if (!old || old.deleted) return NOTHING;
    const entry = change(old);
    this.#entries.set(id, entry);
    return { added: null, changed: [entry] };
  }

  /** The card of a quote that was taken back. */
  #remove(quote) {
    const entry = this.entries.find((each) => each.quote?.id === quote.id);
    return entry ? this.#change(entry.id, (old) => ({ ...old, quote })) : NOTHING;
  }

  /** Replies show its new text. */
  #edit(message) {
    const { changed } = this.#change(message.id, (old) => edited(old, message));
    return { added: null, changed: [...changed, ...this.#answered(message.id, { excerpt: excerptOf(message) })] };
  }

  /** Replies that show its text lose it too. */
  #delete(id) {
    const { changed } = this.#change(id, ({ user, by, bot, at }) => ({
      ...{ id, user, at, deleted: true },
      ...(by && { by }),
      ...(bot && { bot }),
    }));
    return { added: null, changed: [...changed, ...this.#answered(id, { deleted: true })] };
  }

  /** The replies to a message, which show this of it now. */
  #answered(id, shown) {
    return this.messages
      .filter(({ reply_to: parent }) => parent?.id === id && !parent.deleted)
      .flatMap(
        (reply) =>
          this.#change(reply.id, (old) => ({ ...old, reply_to: { id, user: old.reply_to.user, ...shown } })).changed,
      );
  }
}

const NOTHING = { added: null, changed: [] };

// An event holds the whole message; what it leaves out is empty now. When it was sent never changes.
const edited = ({ at, likes, dislikes, reactions }, message) => ({ at, likes, dislikes, reactions, ...message });
