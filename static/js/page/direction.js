// Marks that turn letters around (LRO, RLO): in a line about a text, such as an excerpt, they would make an address read
// as another one. The letters themselves say in which direction they go.

/** The text without them. */
export const inOrder = (text) => text.replace(/[\u202D\u202E]/g, "");
