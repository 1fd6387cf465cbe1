// A connection as an async iterator: `for await (const event of connection)`.

/** The events that come from this call on. It throws the Problem where reading stops, and ends when the
 *  connection is closed. What comes while the loop's body waits is kept for it. */
export function eventsOf(connection) {
  const came = [];
  const listening = new AbortController();
  let lost = null;
  let wake = () => {};
  const listen = (type, heard) =>
    connection.addEventListener(
      type,
      ({ detail }) => {
        heard(detail);
        wake();
      },
      { signal: listening.signal },
    );
  listen("event", (event) => came.push(event));
  for (const end of ["reset", "gone", "signed-out"])
    listen(end, (problem) => {
      lost = problem;
    });
  listen("status", () => {});
  return (async function* iterate() {
    try {
      for (;;) {
        while (came.length) yield came.shift();
        if (lost) throw lost;
        if (connection.state === "closed") return;
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      listening.abort();
    }
  })();
}
