// What stands around the log: the state of the connection, notifications, and toasts.
import { announcer } from "../reader/announcer.js";
import { bells, panel } from "../later.js";
import { Pill } from "../live/pill.js";
import { Badge } from "../reader/badge.js";
import { toast } from "../page/toast.js";
import { $ } from "./open.js";

const DAY = 86_400; // s

/** True if it was loaded anew within the last minute: the server's answers do not fit each other. Once is enough. */
const isFresh = () => performance.now() < 60_000 && performance.getEntriesByType("navigation")[0]?.type === "reload";

export function wireStatus(page) {
  const { life, room, place, api, connection, outbox } = page;
  const tell = toast($("toast"));
  const [announce, badge] = [announcer($("announcer")), new Badge(life)];
  const bell = bells($("bell"), { place, room, tell, life });
  const pill = new Pill($("pill"), $("diagnosis"), {
    wake: () => connection.wake(),
    waiting: () => outbox.waiting,
    told: $("pill-told"),
    facts: panel($("diagnosis"), { url: location.origin + api.roomUrl, tell }),
  });
  const loadAnew = () => location.reload();
  /** Nothing is read here any more: the server's page says what there is, and follows the other rooms. */
  const ended = (words, stays = false) => {
    if (stays || isFresh()) tell(words, { label: "Load anew", act: loadAnew, seconds: DAY });
    else loadAnew();
  };
  connection.addEventListener("gone", () => {
    const { composer, files } = page;
    const isWriting = !composer.isFree || !files.isEmpty || outbox.items.length > 0;
    ended("This room is not there any more, or not yours.", isWriting);
  });
  // With an account the way leads to the sign-in (`openRoom`).
  connection.addEventListener("signed-out", () => "signIn" in $("chat").dataset || ended("You are signed out."));
  /** What another person has written. */
  const news = (entry) => {
    announce(entry);
    badge.add();
    bell(entry);
  };
  return { tell, pill, news };
}
