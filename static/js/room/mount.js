// A room of the page: wires its parts to each other, one subject after the other, and ends them when it is left.
import { wireControls } from "./controls.js";
import { wireEvents } from "./events.js";
import { openRoom, sharedSocket } from "./open.js";
import { wireStatus } from "./status.js";
import { arrive, placeOf, wireEntries, wirePlace } from "./view.js";
import { wireWriting } from "./writing.js";

/** Makes the room that stands in the page live. `inbox` is that of the room before; `fromAnotherRoom` and `place` are
 *  the options of `arrive`. */
export function mount({ inbox, ...arrival } = {}) {
  const life = new AbortController();
  // The socket opens while all else is made; what it brings comes after this task.
  const page = openRoom({ life: life.signal, inbox });
  for (const wire of [wireEntries, wirePlace, wireStatus, wireWriting, wireControls]) Object.assign(page, wire(page));
  wireEvents(page);

  const { log, timeline, composer, unread, connection, scheduled, outbox } = page;
  log.adopt((id) => timeline.get(id));
  composer.settle();
  arrive(page, arrival);
  unread.reached(connection.seq);
  scheduled.refresh();
  outbox.flush();
  return {
    /** False if leaving would lose what only a page of its own keeps: files on their way, a page of the past. */
    get canLeave() {
      return page.files.isEmpty && !page.latest;
    },
    inbox: connection.inbox,
    /** Where the reader is, for coming back. */
    place: () => placeOf(page),
    /** Ends all of it but what is to be sent. */
    leave() {
      sharedSocket.keep(() => connection.close());
      life.abort();
    },
  };
}
