// The chat page: wires the parts to each other, one subject after the other, and holds nothing itself.
import { acted } from "./room/acted.js";
import { heard } from "./room/heard.js";
import { opened } from "./room/opened.js";
import { arrive, placed, shown } from "./room/shown.js";
import { told } from "./room/told.js";
import { written } from "./room/written.js";

document.documentElement.classList.add("js");
// The socket opens while all else is made; what it brings comes after this task.
const page = opened();
for (const wire of [shown, placed, told, written, acted]) Object.assign(page, wire(page));
heard(page);

const { log, timeline, composer, unread, connection, scheduled, outbox } = page;
log.adopt((id) => timeline.get(id));
composer.settle();
arrive(page);
unread.reached(connection.seq);
scheduled.refresh();
outbox.flush();
