// Who is writing: the server is told while one writes, and the names of others are shown for a moment.

const EVERY = 3_000; // milliseconds between two tellings; the server counts one in two seconds
const SHOWN = 5_000; // milliseconds for which a name stands there, unless it comes again

/** The names in words; empty without any. Pure. */
export function inWords(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing`;
  return "Several people are typing";
}

/** `field` is written in; `name()` is one's own; `element`, a status line, shows the others. */
export function typing(connection, { field, name, element }) {
  const shown = new Map(); // name → the timer that takes it away
  let told = 0;
  // Only what has changed is announced: an equal text is left alone.
  const show = () => {
    const words = inWords([...shown.keys()]);
    if (element.textContent !== words) element.textContent = words;
  };
  const forget = (user) => {
    clearTimeout(shown.get(user));
    if (shown.delete(user)) show();
  };

  field.addEventListener("input", () => {
    if (!field.value.trim() || Date.now() - told < EVERY) return;
    told = Date.now();
    connection.typing(name() || undefined);
  });
  connection.addEventListener("typing", ({ detail }) => {
    for (const { user } of detail.filter((each) => each.user !== name())) {
      clearTimeout(shown.get(user));
      shown.set(
        user,
        setTimeout(() => forget(user), SHOWN),
      );
    }
    show();
  });
  connection.addEventListener("event", ({ detail: { command, message } }) => {
    if (command === "message-sent") forget(message.user);
  });
}
