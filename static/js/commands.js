// What a command is about, and which earlier command it makes needless. Pure.

/** What a command changes, as a key; null if it makes something new. */
export function subjectOf({ command, message, scheduled }) {
  if (command === "cancel-scheduled") return `scheduled ${scheduled.id}`;
  return ["edit-message", "delete-message", "react"].includes(command) ? `message ${message.id}` : null;
}

/** Whether `newer` makes `older` needless: the same change of the same thing, or its deletion. */
export function replaces(newer, older) {
  const subject = subjectOf(newer);
  if (subject === null || subject !== subjectOf(older)) return false;
  return newer.command === older.command || newer.command === "delete-message";
}
