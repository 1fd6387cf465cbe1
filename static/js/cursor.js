// A cursor is opaque but for its first part, the seq, which the page needs to see a gap.

/** The seq of "42.9f3a…" or of a bare number. */
export const seqOf = (cursor) => Number.parseInt(String(cursor), 10);

/** True for a bare 0: the oldest event kept, whatever its number. */
export const isOldest = (cursor) => String(cursor) === "0";
