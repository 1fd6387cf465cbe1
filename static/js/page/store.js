// What the browser remembers. It may refuse (private windows, full disk): then the page remembers it while it is open.

const PREFIX = "quotechat:";

/** Load, save and list values of a `Storage`; `storage()` may throw. */
export function remembering(storage) {
  const refused = new Map(); // key → what could not be saved, as JSON

  function load(key, otherwise = null) {
    try {
      const text = refused.get(key) ?? storage().getItem(PREFIX + key);
      return text === null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise;
    }
  }

  /** `null` and "" remove the key. */
  function save(key, value) {
    const text = value === null || value === "" ? null : JSON.stringify(value);
    refused.delete(key);
    try {
      if (text === null) storage().removeItem(PREFIX + key);
      else storage().setItem(PREFIX + key, text);
    } catch {
      if (text !== null) refused.set(key, text);
    }
  }

  /** The keys that begin so, without the prefix of all. */
  function keys(beginning) {
    const found = new Set([...refused.keys()].filter((key) => key.startsWith(beginning)));
    try {
      for (const key of Object.keys(storage())) {
        if (key.startsWith(PREFIX + beginning)) found.add(key.slice(PREFIX.length));
      }
    } catch {
      /* What is refused is all there is. */
    }
    return [...found];
  }

  return { load, save, keys };
}

/** For all tabs of this browser. */
export const { load, save, keys } = remembering(() => localStorage);
/** For this tab, through reloads. */
export const tab = remembering(() => sessionStorage);
