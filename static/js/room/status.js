// What stands around the log: the state of the connection, notifications, and toasts.
import { announcer } from "../reader/announcer.js";
import { bells, panel } from "../later.js";
import { Pill } from "../live/pill.js";
import { Badge } from "../reader/badge.js";
import { toast } from "../page/toast.js";
import { $ } from "./open.js";

export function wireStatus({ life, room, place, api, connection, outbox }) {
  const tell = toast($("toast"));
  const [announce, badge] = [announcer($("announcer")), new Badge(life)];
  const bell = bells($("bell"), { place, room, tell, life });
  const pill = new Pill($("pill"), $("diagnosis"), {
    wake: () => connection.wake(),
    waiting: () => outbox.waiting,
    told: $("pill-told"),
    facts: panel($("diagnosis"), { url: location.origin + api.roomUrl, tell }),
  });
  connection.addEventListener("gone", () => tell("This room is not there any more, or not yours."));
  /** What another person has written. */
  const news = (entry) => {
    announce(entry);
    badge.add();
    bell(entry);
  };
  return { tell, pill, news };
}
