// What a command is about, and which earlier command it makes needless. Pure.

/** What a command changes, as a key; null if it makes something new. */
export function subjectOf({ command, message, scheduled }) {
  if (command === "cancel-scheduled") return `scheduled ${scheduled.id}`;
  return ["edit-message", "delete-message", "react"].includes(command) ? `message ${message.id}` : null;
}

/** What goes one after the other: changes of one thing, and all that is new. */
export const laneOf = (envelope) => subjectOf(envelope) ?? "new";

const LIKES = ["like", "dislike", "none"];

/** The emoji of a reaction, of which a person may have several; "" of a like and of every other command. */
export const emojiOf = ({ command, message }) =>
  command === "react" && !LIKES.includes(message.reaction) ? message.reaction : "";

/** What an edit or a reaction changes beside others of its kind: an emoji, or the descriptions of files. */
export function partOf(envelope) {
  const { command, message } = envelope;
  return command === "edit-message" && message.message === undefined ? "files" : emojiOf(envelope);
}

/** Whether `newer` makes `older` needless: the same change of the same thing, or its deletion. */
export function replaces(newer, older) {
  const subject = subjectOf(newer);
  if (subject === null || subject !== subjectOf(older)) return false;
  if (newer.command === "delete-message") return true;
  return newer.command === older.command && partOf(newer) === partOf(older);
}
